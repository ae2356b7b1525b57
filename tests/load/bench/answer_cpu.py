"""CPU time of streamed answers of one length, by process and by cause, on a running graph."""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from load.bench.stack_samples import Charge, record
from load.harness.process_stats import (
    ENGINE,
    OTHER,
    VLLM_SERVER,
    cpu_s_by_process,
    memory_by_kind,
)

CLIENT = "client"
BUSY_CORES = 0.01  # below that a process is not sampled
TOP_FUNCTIONS = 40
NOT_SAMPLED = Charge("not sampled", "not sampled")  # idle, or Ray's own, or no Python
Cpu = dict[tuple[str, int], float]  # of a process, by its kind and its id


@dataclass(frozen=True)
class Times:
    """Seconds to warm up, to measure without py-spy, and then to sample; 0 samples nothing."""

    warm_s: float
    measure_s: float
    sample_s: float


class Length(BaseModel):
    """Measurement of one answer length."""

    tokens: int
    events: float  # server-sent ones of an answer: one a chunk, and three more
    answers_per_s: float
    cpu_ms: dict[str, float]
    causes_ms: dict[str, dict[str, float]]
    functions_ms: dict[str, dict[str, float]]
    memory_mib: dict[str, float]


class Client:
    """The client process, which counts answers while it runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def counters(self) -> dict[str, float]:
        """Return answers, events and CPU seconds so far.

        Raises:
            RuntimeError: the client has ended.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            return dict(json.loads(self._process.stdout.readline()))
        except (BrokenPipeError, json.JSONDecodeError) as error:
            raise RuntimeError("the client ended early; its error is above") from error


@contextmanager
def client_of(url: str, users: int, tokens: int, model: str) -> Iterator[Client]:
    """Run the closed loop in a process of its own."""
    command = [sys.executable, "-m", "load.bench.sse_client", "users", url, str(users), str(tokens)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--model", model], stdin=pipe, stdout=pipe, text=True
    ) as process:
        try:
            yield Client(process)
        finally:
            process.terminate()


def measure(url: str, tokens: int, users: int, model: str, times: Times) -> Length:
    """Measure one length in a closed loop.

    Raises:
        RuntimeError: an answer failed, or py-spy did.
    """
    with client_of(url, users, tokens, model) as client:
        client.counters()  # it is up
        time.sleep(times.warm_s)
        began_s, before, counted = (
            time.monotonic(),
            cpu_s_by_process(os.getpid()),
            client.counters(),
        )
        time.sleep(times.measure_s)
        took_s, after = time.monotonic() - began_s, cpu_s_by_process(os.getpid())
        done = {name: value - counted[name] for name, value in client.counters().items()}
        used = {key: value - before.get(key, 0.0) for key, value in after.items()}
        charges = record(busy(used, took_s), times.sample_s) if times.sample_s else {}
        memory_mib = memory_by_kind(os.getpid())
    answers = done["answers"]
    per_answer = {key: value * 1000 / answers for key, value in used.items()}
    return Length(
        tokens=tokens,
        events=done["events"] / answers,
        answers_per_s=answers / took_s,
        cpu_ms=by_process(per_answer) | {CLIENT: done["cpu_s"] * 1000 / answers},
        causes_ms=divided(per_answer, charges, by_function=False),
        functions_ms=divided(per_answer, charges, by_function=True),
        memory_mib=dict(memory_mib),
    )


def busy(used: Cpu, took_s: float) -> list[int]:
    """Return the processes to sample: those that serve, run Python and are not idle."""
    return [
        pid
        for (kind, pid), used_s in used.items()
        if kind not in {ENGINE, OTHER, "Ray", VLLM_SERVER}
        and used_s > BUSY_CORES * took_s
        and Path(f"/proc/{pid}/exe").resolve().name.startswith("python")
    ]


def by_process(per_answer: Cpu) -> dict[str, float]:
    """Add up the processes of a kind; OTHER is the benchmark itself and is left out."""
    found: dict[str, float] = defaultdict(float)
    for (kind, _), spent_ms in per_answer.items():
        found[kind] += spent_ms
    return {kind: spent_ms for kind, spent_ms in found.items() if kind != OTHER}


def divided(
    per_answer: Cpu, charges: dict[int, dict[Charge, float]], by_function: bool
) -> dict[str, dict[str, float]]:
    """Divide each kind of process by cause, or by function, the most expensive first.

    Nothing is divided where nothing was sampled.
    """
    if not charges:
        return {}
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (kind, pid), spent_ms in per_answer.items():
        for charge, share in (charges.get(pid) or {NOT_SAMPLED: 1.0}).items():
            name = charge.function if by_function else charge.cause
            found[kind][name] += spent_ms * share
    most = TOP_FUNCTIONS if by_function else None
    return {
        kind: dict(sorted(parts.items(), key=lambda part: -part[1])[:most])
        for kind, parts in found.items()
        if kind != OTHER
    }
