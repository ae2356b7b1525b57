"""Return of freed heap memory to the system."""

import platform

import psutil
import pytest

from models.machine.memory import trim_heap

BLOCKS = 100_000
BLOCK_BYTES = 1000


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have no malloc_trim"
)
def test_trim_heap_returns_memory_below_a_live_block() -> None:
    blocks = [bytes(BLOCK_BYTES) for _ in range(BLOCKS)]
    last = blocks[-1]
    del blocks
    before = psutil.Process().memory_info().rss
    trim_heap()
    assert before - psutil.Process().memory_info().rss > BLOCKS * BLOCK_BYTES / 2
    assert len(last) == BLOCK_BYTES
