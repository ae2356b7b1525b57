"""Memory bandwidth of this machine, which bounds the speed of one reply.

A token reads every weight once.
"""

import json
import time
from functools import cache
from pathlib import Path

import torch

READ_MIB = 512  # much larger than any cache
READS = 5


@cache
def _numbers() -> torch.Tensor:
    return torch.ones(READ_MIB * 2**20 // 4, dtype=torch.float32)


def read_bytes_per_s() -> float:
    """Measure the fastest of several reads of memory with all of torch's threads.

    Disturbances only make a read slower.
    """
    numbers = _numbers()
    best_s = float("inf")
    for _ in range(READS):
        started_s = time.perf_counter()
        numbers.sum()
        best_s = min(best_s, time.perf_counter() - started_s)
    return READ_MIB * 2**20 / best_s


def weights_bytes(weights: Path) -> int:
    """Sum the bytes that one token of one reply reads. Gemma's embedding is also its LM head."""
    return sum(file.stat().st_size for file in weights.glob("*.safetensors"))


def int8_head_bytes(weights: Path) -> int:
    """Sum the same bytes with an int8 LM head instead of a bf16 one."""
    config = json.loads((weights / "config.json").read_text("utf-8"))
    return weights_bytes(weights) - int(config["vocab_size"]) * int(config["hidden_size"])
