"""Memory bandwidth of this machine, which bounds the speed of one reply.

A token reads every weight once.
"""

import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

READ_MIB = 512  # much larger than any cache
READS = 5


@cache
def _numbers(mib: int) -> torch.Tensor:
    return torch.ones(mib * 2**20 // 4, dtype=torch.float32)


def read_bytes_per_s(
    mib: int = READ_MIB, clock_s: Callable[[], float] = time.perf_counter
) -> float:
    """Measure the fastest of several reads of memory with all of torch's threads.

    Disturbances only make a read slower.
    """
    numbers = _numbers(mib)
    best_s = float("inf")
    for _ in range(READS):
        started_s = clock_s()
        numbers.sum()
        best_s = min(best_s, clock_s() - started_s)
    return mib * 2**20 / best_s


def weights_bytes(weights: Path) -> int:
    """Sum the bytes that one token of one reply reads. Gemma's embedding is also its LM head."""
    return sum(file.stat().st_size for file in weights.glob("*.safetensors"))


def int8_head_bytes(weights: Path) -> int:
    """Sum the same bytes with an int8 LM head instead of a bf16 one."""
    config = json.loads((weights / "config.json").read_text("utf-8"))
    return weights_bytes(weights) - int(config["vocab_size"]) * int(config["hidden_size"])
