"""Benchmark (`make bench`): the system and its peers on this machine, in one run.

All use the same weights, adapters, operators and prompts.

engine without adapters | with adapters | untouched vLLM -> cost of six adapters (lora.py)
vllm serve | the graph                              -> cost of the graph (graph_vs_vllm.py)
detector | /v1/detect | transformers and FastAPI    -> cost of HTTP (detector.py)
-> one table, .bench/summary.json
"""

import os
import platform
from pathlib import Path
from typing import Annotated

import typer

from load.bench import goals
from load.bench.graph_vs_vllm import compare_with_vllm
from load.bench.lora import measure_adapters
from load.harness.graph import console, local_config

ARMS = ("base", "ours", "untouched")


def main(
    rounds: Annotated[int, typer.Option(min=1, help="interleaved rounds of each side")] = 3,
    measure_s: Annotated[float, typer.Option(help="seconds of saturation per round")] = 15,
    out: Annotated[Path, typer.Option(help="JSON file")] = Path(".bench/summary.json"),
) -> None:
    """Compare the system with its peers and print the ratios."""
    out.parent.mkdir(parents=True, exist_ok=True)
    found = measure_adapters(rounds, ARMS)
    goals.write(found, out)  # keeps these results if the rest fails
    config = local_config()
    found += compare_with_vllm(config, rounds, measure_s, out.parent / "vllm.log")
    goals.write(found, out)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    console.print(goals.build_table(found, f"{machine}, {rounds} rounds"))


if __name__ == "__main__":
    typer.run(main)
