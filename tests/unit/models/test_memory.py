"""What was freed is the system's again."""

import platform

import psutil
import pytest

from models.memory import trim_heap

BLOCKS, BLOCK_BYTES = 100_000, 1000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no malloc_trim")
def test_what_was_freed_goes_back_although_something_behind_it_is_still_used() -> None:
    blocks = [bytes(BLOCK_BYTES) for _ in range(BLOCKS)]
    last = blocks[-1]
    del blocks
    before = psutil.Process().memory_info().rss
    trim_heap()
    assert before - psutil.Process().memory_info().rss > BLOCKS * BLOCK_BYTES / 2
    assert len(last) == BLOCK_BYTES
