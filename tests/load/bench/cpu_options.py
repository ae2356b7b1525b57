"""The choices that a CPU leaves, each beside what ships: `PYTHONPATH=tests .venv/bin/python -m load.bench.cpu_options`

Each is an engine of its own, in a process of its own, one after the other, round after round. One answer at a time, 32 at once, and the
next turn of a conversation, six adapters, greedy. Prints a table and writes `.bench/cpu_path.json`. A minute and a half for each choice
and round.
"""

import asyncio
import json
import os
import signal
import site
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from load.growth.engine import at_once, next_turn_ms, opened
from load.harness.graph import LOCAL
from serve.cli.config_file import read_config
from serve.engine import vllm_engine

TESTS = Path(__file__).parents[2]
OUT = Path(__file__).parents[3] / ".bench" / "cpu_path.json"
TCMALLOC = "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"  # Debian's libtcmalloc-minimal4
JEMALLOC = f"{site.getsitepackages()[0]}/ray/core/libjemalloc.so"  # in Ray's wheel
ADAPTERS, TIMES, SHIPS = 6, 3, "as it ships"
TIMEOUT_S = 240
console = Console(width=180)


@dataclass(frozen=True)
class Choice:
    """What is set in the environment of the process, and in the engine's arguments, instead of what ships."""

    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


CHOICES = {
    SHIPS: Choice(),
    "threads: vLLM's own choice (a core is kept free)": Choice({"VLLM_CPU_OMP_THREADS_BIND": "auto"}),
    "threads: as many as cores, bound to none": Choice({"VLLM_CPU_OMP_THREADS_BIND": "nobind"}),
    "threads: that wait without spinning": Choice({"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}),
    "memory allocator: tcmalloc": Choice({"LD_PRELOAD": TCMALLOC}),
    "memory allocator: jemalloc": Choice({"LD_PRELOAD": JEMALLOC}),
    "memory: pages of 2 MiB": Choice({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
    "head: in bf16": Choice({"FYE_CPU_HEAD": "0"}),
    "not compiled": Choice(arguments={"enforce_eager": True}),
    "KV cache: 4 GiB": Choice({"VLLM_CPU_KVCACHE_SPACE": "4"}),
    "KV cache: blocks of 128 tokens": Choice(arguments={"block_size": 128}),
    "without a prefix cache": Choice(arguments={"enable_prefix_caching": False}),
}
Seen = dict[str, list[float]]


def measure(name: str) -> None:
    """In the process of one choice, as a line of JSON: milliseconds a token of one answer, tokens a second of 32, TTFT of a next turn."""
    usual = vllm_engine.engine_arguments
    vllm_engine.engine_arguments = lambda *given: usual(*given) | CHOICES[name].arguments

    async def asked() -> Seen:
        found: Seen = {"one_ms": [], "many_per_s": [], "turn_ms": []}
        async with opened(read_config(LOCAL).responder, ADAPTERS) as here:
            await at_once(here, 32, 32)
            for _ in range(TIMES):
                found["one_ms"].append((await at_once(here, 1, 1)).tpot_ms)
                found["many_per_s"].append((await at_once(here, 32, 32)).tokens_per_s)
                found["turn_ms"].append(await next_turn_ms(here))
        return found

    print(json.dumps(asyncio.run(asked())), flush=True)


def in_its_process(name: str) -> Seen:
    """Raises RuntimeError where an engine does not start so, or hangs: vLLM's worker may outlive the core that failed to start."""
    command = [sys.executable, "-m", "load.bench.cpu_options", "--only", name]
    environment = os.environ | {"PYTHONPATH": str(TESTS)} | CHOICES[name].environment
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            lines = process.communicate(timeout=TIMEOUT_S)[0].splitlines()
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise RuntimeError(f"no answer within {TIMEOUT_S} s") from error
    found: Seen | None = next((json.loads(line) for line in lines if line.startswith('{"one_ms"')), None)
    if found is None:
        raise RuntimeError(f"ended with status {process.returncode}")
    return found


def table(found: dict[str, Seen]) -> Table:
    """Medians with their range, and what they are of what ships: more is better."""
    shown = Table("choice", "one answer, ms a token", "32 answers, tok/s", "next turn, TTFT in ms", "of what ships: one, 32, next turn")
    ships = {what: statistics.median(values) for what, values in found[SHIPS].items()}
    for name, seen in found.items():
        medians = {what: statistics.median(values) for what, values in seen.items()}
        cells = [f"{medians[what]:.1f} ({min(values):.1f} to {max(values):.1f})" for what, values in seen.items()]
        better = [medians[what] / ships[what] if what.endswith("_per_s") else ships[what] / medians[what] for what in medians]
        shown.add_row(name, *cells, ", ".join(f"{ratio:.2f}" for ratio in better))
    return shown


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 2,
    only: Annotated[str | None, typer.Option(help="one choice, measured in this process")] = None,
) -> None:
    """Measure every choice."""
    if only:
        measure(only)
        return
    found: dict[str, Seen] = {}
    for _ in range(rounds):
        for name, choice in CHOICES.items():
            library = choice.environment.get("LD_PRELOAD")
            if library and not Path(library).exists():
                console.print(f"{name}: {library} is not installed, and not measured")
                continue
            try:
                seen = in_its_process(name)
            except RuntimeError as error:
                console.print(f"{name}: {error}")
                continue
            for what, values in seen.items():
                found.setdefault(name, {}).setdefault(what, []).extend(values)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    console.print(table(found))


if __name__ == "__main__":
    typer.run(main)
