"""What the machine does while it is asked: replicas, CPU and memory by kind of process, every two seconds, from a thread of its own."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pydantic import BaseModel

from load.harness.process_stats import by_kind, cpu_s
from serve.cli.local_cluster import APP_NAME

EVERY_S = 2.0


class Sample(BaseModel):
    """`cores` and `memory_mib` go by kind of process; `replicas` are those of each stage that run."""

    t_s: float
    cores: dict[str, float]
    memory_mib: dict[str, float]
    replicas: dict[str, int]


def no_replicas() -> dict[str, int]:
    return {}


def replicas() -> dict[str, int]:
    """Of each stage of the graph that this process started."""
    from ray import serve

    application = serve.status().applications.get(APP_NAME)
    stages = application.deployments.items() if application else ()
    return {name: int(stage.replica_states.get("RUNNING", 0)) for name, stage in stages}


class Sampler:
    """Looks while it is open; `samples` are there when it is closed."""

    def __init__(self, count: Callable[[], dict[str, int]], every_s: float = EVERY_S) -> None:
        self.samples: list[Sample] = []
        self._count, self._every_s = count, every_s
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        began_s = last_s = time.monotonic()
        before = cpu_s(os.getpid())
        while not self._closed.wait(self._every_s):
            now_s, after = time.monotonic(), cpu_s(os.getpid())
            cores: Counter[str] = Counter()
            for (kind, pid), used_s in after.items():
                cores[kind] += max(used_s - before.get((kind, pid), used_s), 0) / (now_s - last_s)
            sample = Sample(t_s=now_s - began_s, cores=cores, memory_mib=by_kind(os.getpid()), replicas=self._count())
            self.samples.append(sample)
            before, last_s = after, now_s
