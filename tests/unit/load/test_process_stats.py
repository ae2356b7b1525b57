"""Kinds of processes."""

import os

import psutil
import pytest

from load.harness.process_stats import ENGINE, OTHER, kind_of, memory_by_kind
from load.harness.sampler import cores_used


@pytest.mark.parametrize(
    ("command_line", "kind"),
    [
        ("VLLM::EngineCore", ENGINE),
        ("ray::ServeReplica:face-your-emotions:Detector", "detector"),
        ("ray::ServeReplica:face-your-emotions:AdapterController", "adapter controller"),
        ("ray::ServeController", "Serve controller"),
        ("/usr/lib/ray/raylet --node", "Ray"),
        ("python -m pytest", OTHER),
    ],
)
def test_recognizes_processes(command_line: str, kind: str) -> None:
    assert kind_of(command_line) == kind


def test_measures_the_memory_of_this_process() -> None:
    this = psutil.Process()
    processes = [this, *this.children(recursive=True)]
    mib = sum(process.memory_full_info().pss for process in processes) / 2**20
    assert sum(memory_by_kind(os.getpid()).values()) == pytest.approx(mib, rel=0.2)


def test_new_processes_count_as_idle() -> None:
    before_s = {("detector", 1): 2.0}
    after_s = {("detector", 1): 5.0, ("detector", 2): 9.0}
    assert cores_used(before_s, after_s, elapsed_s=2) == {"detector": 1.5}
