"""`make bench`: the system beside its peers, on this machine, with the same weights, adapters, operators and prompts, in one run.

an engine without adapters | with ours | untouched vLLM          -> what six adapters cost (lora_throughput.py)
bare vllm serve            | the graph                           -> what the graph costs (beside_bare.py)
the detector alone         | /v1/detect | a pipeline and FastAPI -> what HTTP costs (detect_bench.py)
-> one table, .bench/summary.json
"""

import os
import platform
from pathlib import Path
from typing import Annotated

import typer

from load.bench import goals
from load.bench.graph_vs_vllm import beside_bare
from load.bench.lora import adapters
from load.harness.graph import LOCAL, console
from serve.cli.config_file import read_config

ARMS = ("base", "ours", "untouched")


def main(
    rounds: Annotated[int, typer.Option(min=1, help="of each side, interleaved")] = 3,
    measure_s: Annotated[float, typer.Option(help="of saturation a round, in seconds")] = 15,
    out: Path = Path(".bench/summary.json"),
) -> None:
    """Measure the system beside its peers and print the ratios."""
    out.parent.mkdir(parents=True, exist_ok=True)
    found = adapters(rounds, ARMS)
    goals.write(found, out)  # what is known stays known if the rest fails
    found += beside_bare(read_config(LOCAL), rounds, measure_s, out.parent / "bare.log")
    goals.write(found, out)
    console.print(goals.table(found, f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {rounds} rounds"))


if __name__ == "__main__":
    typer.run(main)
