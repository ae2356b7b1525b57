"""CPU time of a process by cause, from py-spy's samples of its stacks and from its threads' CPU.

A thread's CPU time comes from /proc and is divided among causes by the samples of that thread.
Threads that run no Python have no samples; their names tell what they work for.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS_HZ = os.sysconf("SC_CLK_TCK")
RATE_HZ = 25  # unwinding native frames is costly
PATIENCE_S = 90  # beyond the duration: py-spy reads the symbols of large libraries first
METRICS, LOGGING, TRACING = "metrics", "logging", "tracing"
RAY_CORE, GRPC, LOOP, OTHER = "Ray core", "gRPC", "asyncio and event loop", "other"
OURS = "our code"
CAUSES = (  # the first that matches a frame's path wins
    (r"^(logging|structlog)/|^ray/.*logg", LOGGING),
    (r"^tracing/|^ray/.*/tracing", TRACING),
    (r"^opentelemetry/(sdk/)?trace|^opentelemetry/exporter", TRACING),
    (r"^ray/.*metric|^(opencensus|prometheus_client)/|^opentelemetry/.*metric", METRICS),
    (r"^(grpc|google/protobuf|google/_upb)/|^ray/serve/(_private/grpc_util|generated/)", GRPC),
    (
        r"^(pydantic|pydantic_core|fastapi|annotated_types|typing_extensions)[/.]",
        "FastAPI, pydantic",
    ),
    (r"^(uvicorn|starlette|sse_starlette|httptools|h11|anyio)[/.]", "ASGI, uvicorn"),
    (r"^ray/serve/", "Ray Serve"),
    (r"^ray/", RAY_CORE),
    (r"^(vllm|zmq|msgspec)/|^repository/serve/engine/", "engine"),
    (r"^repository/serve/(telemetry/metrics|pipeline/request_metrics)\.py", METRICS),
    (r"^repository/serve/telemetry/tracing\.py", TRACING),
    (r"^repository/serve/telemetry/json_log\.py", LOGGING),
    (r"^repository/", OURS),
    (r"^(uvloop|asyncio|selectors\.py)|/uvloop/|/libuv|_asynciomodule\.c", LOOP),
)
CALLED_BY = frozenset((METRICS, LOGGING, TRACING))  # are charged with what Ray's core does for them
NATIVE_THREADS = ((r"event_engine|grpc|resolver|timer", GRPC), (r"", RAY_CORE))
FRAME = re.compile(r"(?P<function>.*) \((?P<path>.*)\)$")
REPOSITORY = re.compile(r"^/.*?/(?P<path>(serve|models)/.*\.py)$")
INSTALLED = re.compile(r"^.*/(site-packages|python3\.\d+)/")


@dataclass(frozen=True, slots=True)
class Charge:
    """Cause of some CPU time; `function` is the innermost frame that has a cause."""

    cause: str
    function: str


def charge_of(stack: Iterable[str]) -> Charge:
    """Find the innermost frame with a cause; `stack` is outermost first, in py-spy's notation."""
    charge: Charge | None = None
    for frame in reversed(list(stack)):
        path = module_path(frame)
        cause = next((name for pattern, name in CAUSES if re.search(pattern, path)), None)
        if cause is None:
            continue
        if charge is None:
            charge = Charge(cause, _name(frame, path))
        if charge.cause != RAY_CORE:
            return charge
        if cause != RAY_CORE:
            return Charge(cause, charge.function) if cause in CALLED_BY else charge
    return charge or Charge(OTHER, "")


def _name(frame: str, path: str) -> str:
    """Shorten a frame; one without a symbol is named by its library alone."""
    function = frame.split(" (")[0]
    place = Path(path).name if path.startswith("/") else path
    return place if function.startswith("0x") else f"{place}: {function}"


def module_path(frame: str) -> str:
    """Return a frame's file below its root: `ray/serve/api.py`, `repository/serve/app.py`."""
    found = FRAME.match(frame)
    if found is None:
        return ""
    path = found["path"]
    if INSTALLED.search(path):
        return INSTALLED.sub("", path)
    own = REPOSITORY.match(path)
    return f"repository/{own['path']}" if own else path


def parse_samples(raw: str) -> dict[int, Counter[Charge]]:
    """Count the samples of each thread by charge; `raw` is py-spy's raw format."""
    found: dict[int, Counter[Charge]] = defaultdict(Counter)
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        thread, *frames = stack.split(";")
        number = re.match(r"thread \((?:0x)?([0-9A-Fa-f]+)\)", thread)
        if number and frames:
            found[int(number[1])][charge_of(frames)] += int(count)
    return dict(found)


def thread_cpu_s(pid: int) -> dict[int, tuple[str, float]]:
    """Return the name of each thread of a process and the CPU seconds that it has taken."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            head, _, rest = (task / "stat").read_text().rpartition(")")
            user, system = rest.split()[11:13]
            found[int(task.name)] = (head.split("(", 1)[1], (int(user) + int(system)) / TICKS_HZ)
    return found


def shares(
    before: dict[int, tuple[str, float]],
    after: dict[int, tuple[str, float]],
    samples: dict[int, Counter[Charge]],
) -> dict[Charge, float]:
    """Divide a process' CPU time between two readings of its threads; the shares add up to 1."""
    found: dict[Charge, float] = defaultdict(float)
    for thread, (name, total_s) in after.items():
        used_s = total_s - before.get(thread, (name, 0.0))[1]
        charges = samples.get(thread) or Counter([_native(name)])
        for charge, count in charges.items():
            found[charge] += used_s * count / charges.total()
    total_s = sum(found.values())
    return {charge: used_s / total_s for charge, used_s in found.items()} if total_s else {}


def _native(name: str) -> Charge:
    cause = next(cause for pattern, cause in NATIVE_THREADS if re.search(pattern, name))
    return Charge(cause, f"thread {name}")


def record(pids: Collection[int], duration_s: float) -> dict[int, dict[Charge, float]]:
    """Sample some processes at once and return the shares of each.

    Raises:
        RuntimeError: py-spy failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        before = {pid: thread_cpu_s(pid) for pid in pids}
        spies = {pid: _spy(pid, duration_s, Path(folder) / f"{pid}.raw") for pid in pids}
        _wait(spies.values(), time.monotonic() + duration_s + PATIENCE_S)
        after = {pid: thread_cpu_s(pid) for pid in pids}
        return {
            pid: shares(
                before[pid], after[pid], parse_samples((Path(folder) / f"{pid}.raw").read_text())
            )
            for pid in pids
        }


def _spy(pid: int, duration_s: float, out: Path) -> "subprocess.Popen[str]":
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or "py-spy"
    options = f"--rate {RATE_HZ} --duration {duration_s:.0f} --native --threads --nolineno"
    command = [program, "record", "--pid", str(pid), "--format", "raw", "--full-filenames"]
    return subprocess.Popen(
        [*command, *options.split(), "--output", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait(spies: Iterable["subprocess.Popen[str]"], deadline_s: float) -> None:
    for spy in spies:
        _, said = spy.communicate(timeout=max(deadline_s - time.monotonic(), 1))
        if spy.returncode:
            raise RuntimeError(
                f"py-spy failed; run it as root, or use --no-causes. It said: {said}"
            )
