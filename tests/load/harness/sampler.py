"""Samples of replicas, CPU and memory during a load test."""

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pydantic import BaseModel, Field

from load.harness.process_stats import cpu_s_by_process, memory_by_kind
from serve.cli.local_cluster import APP_NAME

INTERVAL_S = 2.0


class Sample(BaseModel):
    """State of the machine at one moment."""

    t_s: float = Field(description="since the sampler started")
    cores: dict[str, float] = Field(description="CPU used since the last sample, by kind")
    memory_mib: dict[str, float] = Field(description="memory, by kind")
    replicas: dict[str, int] = Field(description="running replicas, by deployment")


def no_replicas() -> dict[str, int]:
    """Count nothing, for a server without deployments."""
    return {}


def running_replicas() -> dict[str, int]:
    """Count the running replicas of each deployment of the graph that this process started."""
    from ray import serve

    application = serve.status().applications.get(APP_NAME)
    if application is None:
        return {}
    return {
        name: sum(count for state, count in deployment.replica_states.items() if state == "RUNNING")
        for name, deployment in application.deployments.items()
    }


class Sampler:
    """Thread that samples while the context is open; read `samples` after it is closed."""

    def __init__(
        self, count_replicas: Callable[[], dict[str, int]], interval_s: float = INTERVAL_S
    ) -> None:
        self.samples: list[Sample] = []
        self._count_replicas = count_replicas
        self._interval_s = interval_s
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        started_s = time.monotonic()
        last_s = started_s
        used_before_s = cpu_s_by_process(os.getpid())
        while not self._closed.wait(self._interval_s):
            now_s = time.monotonic()
            used_s = cpu_s_by_process(os.getpid())
            sample = Sample(
                t_s=now_s - started_s,
                cores=cores_used(used_before_s, used_s, now_s - last_s),
                memory_mib=memory_by_kind(os.getpid()),
                replicas=self._count_replicas(),
            )
            self.samples.append(sample)
            used_before_s = used_s
            last_s = now_s


def cores_used(
    before_s: dict[tuple[str, int], float], after_s: dict[tuple[str, int], float], elapsed_s: float
) -> dict[str, float]:
    """Compute the cores used between two readings of `cpu_s_by_process`, by kind.

    A process that is new in the second reading counts as idle.
    """
    cores: dict[str, float] = {}
    for key, used_s in after_s.items():
        kind = key[0]
        used = max(used_s - before_s.get(key, used_s), 0) / elapsed_s
        cores[kind] = cores.get(kind, 0.0) + used
    return cores
