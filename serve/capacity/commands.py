"""Commands that need no running server: `python -m serve plan` and `python -m serve simulate`."""

from pathlib import Path

import typer

from models.errors import FyeError
from serve.capacity.hardware import read_hardware
from serve.capacity.plan import Demand, lines, plan
from serve.capacity.settings import Settings
from serve.capacity.simulation.compare import Comparer, Comparison, Workload, table
from serve.capacity.simulation.plot import plot
from serve.capacity.simulation.traces import TRACES, trace_named


def run_plan(demand: Demand, hardware: Path) -> int:
    """Print a plan and return an exit status."""
    try:
        found = plan(demand, read_hardware(hardware))
    except FyeError as error:
        typer.echo(f"error: {error}", err=True)
        return 1
    for line in lines(found):
        typer.echo(line)
    return 0


def run_simulation(
    workload: Workload, names: list[str], hardware_file: Path, plot_file: Path | None
) -> int:
    """Print the table of the traces, plot them, and return an exit status."""
    try:
        hardware = read_hardware(hardware_file)
        settings = Settings(slo_ttft_ms=workload.slo_ttft_ms, start_s=hardware.start_s)
        comparisons: list[Comparison] = []
        traces = [trace_named(name) for name in names] or list(TRACES)
        for trace in traces:
            trace.check(workload.peak_per_s)
        for trace in traces:
            typer.echo(f"{trace.name}: {trace.about} ...", err=True)
            comparisons.append(Comparer(trace, hardware, workload).compare(settings))
        if plot_file is not None:
            plot(comparisons, plot_file)
    except FyeError as error:
        typer.echo(f"error: {error}", err=True)
        return 1
    except OSError as error:
        typer.echo(f"error: cannot write {plot_file}: {error.strerror or error}", err=True)
        return 1
    typer.echo(f"{hardware.name} ({hardware.source}), peak {workload.peak_per_s:g} requests/s")
    for line in table(comparisons, workload.slo_ttft_ms):
        typer.echo(line)
    return 0
