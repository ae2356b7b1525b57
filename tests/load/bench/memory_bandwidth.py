"""How fast this machine's memory is read, and so how fast one answer can be written at best: a token needs all weights once."""

import json
import time
from functools import cache
from pathlib import Path

import torch

READ_MIB = 512  # many times any cache
TIMES = 5


@cache
def _numbers() -> torch.Tensor:
    return torch.ones(READ_MIB * 2**20 // 4, dtype=torch.float32)


def read_bytes_per_s() -> float:
    """The best of some reads of memory by all of torch's threads: what disturbs only makes it slower."""
    numbers, best_s = _numbers(), float("inf")
    for _ in range(TIMES):
        began_s = time.perf_counter()
        numbers.sum()
        best_s = min(best_s, time.perf_counter() - began_s)
    return READ_MIB * 2**20 / best_s


def weights_bytes(weights: Path) -> int:
    """What one token of one answer needs, once each (Gemma's embedding is its head too)."""
    return sum(file.stat().st_size for file in weights.glob("*.safetensors"))


def bytes_read(weights: Path) -> int:
    """The same with the head in bytes, where the weights have two for each number."""
    config = json.loads((weights / "config.json").read_text("utf-8"))
    return weights_bytes(weights) - int(config["vocab_size"]) * int(config["hidden_size"])
