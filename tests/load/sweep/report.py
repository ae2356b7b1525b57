"""HTML page of the load test: one self-contained file. Replies are untrusted, so all is escaped."""

import math
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from statistics import fmean

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from load.harness.runs import Metrics
from load.sweep import plots
from load.sweep.knee import Point
from load.sweep.result import ArmResult, LoadResult, quantiles

TEMPLATES = Path(__file__).parent / "templates"
# Metrics whose repeats are shown next to the median.
WITH_SPREAD = {"request_throughput", "request_goodput", "output_throughput"}
COLUMNS = (  # heading, metric
    ("offered /s", "offered"),
    ("achieved /s", "request_throughput"),
    ("goodput /s", "request_goodput"),
    ("meet", "slo_attainment"),
    ("tok/s", "output_throughput"),
    ("rejected", "rejected"),
    ("failed", "failed"),
    ("lateness, ms", "client_lateness_ms"),
    ("client, cores", "client_cores"),
)
TIMES = tuple(
    (heading, [f"{share}_{name}_ms" for share in ("p50", "p90", "p95", "p99")])
    for heading, name in (
        ("TTFT", "ttft"),
        ("TPOT", "tpot"),
        ("ITL", "itl"),
        ("end to end", "e2el"),
    )
)
PERSONA_METRICS = tuple(
    f"{share}_{name}_ms" for name in ("ttft", "tpot", "e2el") for share in ("median", "p99")
)
# A kind of process below these values is not drawn by itself.
MIN_MIB = 60.0
MIN_CORES = 0.03


def write_page(result: LoadResult, file: Path) -> Path:
    """Write the page and return its path."""
    file.write_text(render(result), "utf-8")
    return file


def render(result: LoadResult) -> str:
    """Render the page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": format_number}
    environment.globals |= {
        "plots": plots,
        "points_of": points_of,
        "cell": cell,
        "personas": persona_rows,
        "processes": process_rows,
        "quantiles": quantiles,
        "cores": attrgetter("cores"),
        "memory": attrgetter("memory_mib"),
    }
    return environment.get_template("load.html.j2").render(
        result=result, columns=COLUMNS, times=TIMES, min_mib=MIN_MIB, min_cores=MIN_CORES
    )


def points_of(result: LoadResult, *arms: str) -> list[Point]:
    """Select the points of some arms."""
    return [point for point in result.points if point.arm in arms]


def format_number(value: float) -> str:
    """Format with three significant digits and without trailing zeros; a dash for NaN."""
    if math.isnan(value):
        return "–"
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}".rstrip("0").rstrip(".")


def cell(point: Point, name: str) -> str:
    """Format the median of a metric, with the spread of the most important ones."""
    if name not in point.metrics:
        return "–"
    found = point.metrics[name]
    if name == "slo_attainment":
        return f"{found.value:.0%}"
    text = format_number(found.value)
    low = format_number(found.low)
    high = format_number(found.high)
    return text if low == high or name not in WITH_SPREAD else f"{text} ({low} to {high})"


def persona_rows(arm: ArmResult) -> Iterator[tuple[str, Metrics]]:
    """Yield each persona with its number of replies and the means of its runs' metrics."""
    for persona in sorted({name for run in arm.runs for name in run.personas}):
        runs = [run.personas[persona] for run in arm.runs if persona in run.personas]
        metrics = {"completed": sum(run["completed"] for run in runs)}
        for name in PERSONA_METRICS:
            values = [run[name] for run in runs if name in run]
            if values:
                metrics[name] = fmean(values)
        yield persona, metrics


def process_rows(arm: ArmResult) -> list[tuple[str, float, float, float]]:
    """List each kind of process: mean cores, peak cores, peak MiB; the largest first."""
    rows = []
    for kind in {kind for sample in arm.samples for kind in sample.memory_mib}:
        cores = [sample.cores.get(kind, 0.0) for sample in arm.samples]
        mib = max(sample.memory_mib.get(kind, 0.0) for sample in arm.samples)
        rows.append((kind, fmean(cores), max(cores), mib))
    return sorted(rows, key=lambda row: -row[3])
