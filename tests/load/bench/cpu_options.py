"""Settings that a CPU offers, each compared with the shipped ones.

Each runs in a process and an engine of its own, one after the other, round after round: one reply
at a time, 32 at once, and the next turn of a conversation; six adapters, greedy. Prints a table and
writes `.bench/cpu_options.json`. It takes a minute and a half per option and round.

PYTHONPATH=tests .venv/bin/python -m load.bench.cpu_options
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
from unittest.mock import patch

import typer
from rich.console import Console
from rich.table import Table

from load.growth.engine import measure_batch, next_turn_ttft_ms
from load.growth.running_engine import running_engine
from load.harness.graph import LOCAL
from serve.cli.config_file import read_config
from serve.engine import vllm_args

TESTS = Path(__file__).parents[2]
OUT = Path(__file__).parents[3] / ".bench" / "cpu_options.json"
# From Debian's libtcmalloc-minimal4, and from Ray's wheel.
TCMALLOC = "/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4"
JEMALLOC = f"{site.getsitepackages()[0]}/ray/core/libjemalloc.so"
ADAPTERS = 6
REPEATS = 3
SHIPPED = "as shipped"
TIMEOUT_S = 240
FIRST_KEY = "one_ms"
console = Console(width=180)
# By measurement: milliseconds per token of one reply, tokens per second of 32, TTFT of a next turn.
Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Option:
    """Environment variables and engine arguments that replace the shipped ones."""

    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)


OPTIONS = {
    SHIPPED: Option(),
    "threads: vLLM's default (one core is reserved)": Option({"VLLM_CPU_OMP_THREADS_BIND": "auto"}),
    "threads: one per core, not bound": Option({"VLLM_CPU_OMP_THREADS_BIND": "nobind"}),
    "threads: wait without spinning": Option({"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}),
    "memory allocator: tcmalloc": Option({"LD_PRELOAD": TCMALLOC}),
    "memory allocator: jemalloc": Option({"LD_PRELOAD": JEMALLOC}),
    "memory: pages of 2 MiB": Option({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
    "LM head: bf16": Option({"FYE_CPU_HEAD": "0"}),
    "not compiled": Option(arguments={"enforce_eager": True}),
    "KV cache: 4 GiB": Option({"VLLM_CPU_KVCACHE_SPACE": "4"}),
    "KV cache: blocks of 128 tokens": Option(arguments={"block_size": 128}),
    "no prefix cache": Option(arguments={"enable_prefix_caching": False}),
}


def measure_here(name: str) -> None:
    """Measure one option in this process and print the samples as a line of JSON."""
    option = OPTIONS[name]

    def engine_arguments(*given: Any) -> dict[str, Any]:
        return vllm_args.engine_arguments(*given) | option.arguments

    with patch("serve.engine.vllm_engine.engine_arguments", engine_arguments):
        samples = asyncio.run(_measure())
    print(json.dumps(samples), flush=True)


async def _measure() -> Samples:
    samples: Samples = {FIRST_KEY: [], "many_per_s": [], "turn_ms": []}
    async with running_engine(read_config(LOCAL).responder, ADAPTERS) as running:
        await measure_batch(running, 32, 32)
        for _ in range(REPEATS):
            samples[FIRST_KEY].append((await measure_batch(running, 1, 1)).tpot_ms)
            samples["many_per_s"].append((await measure_batch(running, 32, 32)).tokens_per_s)
            samples["turn_ms"].append(await next_turn_ttft_ms(running))
    return samples


def measure_in_subprocess(name: str) -> Samples:
    """Measure one option in a process of its own.

    Raises:
        RuntimeError: the engine did not start with this option, or it hung. vLLM's worker may
            outlive a core that failed to start, so the whole process group is killed.
    """
    command = [sys.executable, "-m", "load.bench.cpu_options", "--only", name]
    environment = os.environ | {"PYTHONPATH": str(TESTS)} | OPTIONS[name].environment
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            lines = process.communicate(timeout=TIMEOUT_S)[0].splitlines()
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise RuntimeError(f"timed out after {TIMEOUT_S} s without a result") from error
    for line in lines:
        if line.startswith(f'{{"{FIRST_KEY}"'):
            samples: Samples = json.loads(line)
            return samples
    raise RuntimeError(f"the process exited with status {process.returncode} without a result")


def build_table(found: dict[str, Samples]) -> Table:
    """Build a table of medians with their range, and their ratios to the shipped settings.

    A ratio above 1 is better.
    """
    table = Table(
        "option",
        "one reply, ms/token",
        "32 replies, tok/s",
        "next turn, TTFT in ms",
        "ratio to shipped: one, 32, next turn",
    )
    shipped = _medians(found[SHIPPED])
    for name, samples in found.items():
        medians = _medians(samples)
        cells = [
            f"{medians[key]:.1f} ({min(values):.1f} to {max(values):.1f})"
            for key, values in samples.items()
        ]
        ratios = [_improvement(key, medians[key], shipped[key]) for key in medians]
        table.add_row(name, *cells, ", ".join(f"{ratio:.2f}" for ratio in ratios))
    return table


def _medians(samples: Samples) -> dict[str, float]:
    return {key: statistics.median(values) for key, values in samples.items()}


def _improvement(key: str, value: float, shipped: float) -> float:
    return value / shipped if key.endswith("_per_s") else shipped / value


def measure_round(found: dict[str, Samples]) -> None:
    """Measure every option once and add the samples to `found`."""
    for name, option in OPTIONS.items():
        library = option.environment.get("LD_PRELOAD")
        if library and not Path(library).exists():
            console.print(f"skipped {name}: {library} is not installed")
            continue
        try:
            samples = measure_in_subprocess(name)
        except RuntimeError as error:
            console.print(f"failed {name}: {error}")
            continue
        for key, values in samples.items():
            found.setdefault(name, {}).setdefault(key, []).extend(values)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="rounds over all options")] = 2,
    only: Annotated[str | None, typer.Option(help="measure one option in this process")] = None,
) -> None:
    """Measure every option."""
    if only:
        measure_here(only)
        return
    found: dict[str, Samples] = {}
    for _ in range(rounds):
        measure_round(found)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    console.print(build_table(found))


if __name__ == "__main__":
    typer.run(main)
