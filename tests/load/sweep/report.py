"""The page of `make load`: one file of HTML that needs nothing beside it. Answers are untrusted text: everything is escaped."""

import math
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from statistics import fmean

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from load.harness.metrics import Figures
from load.sweep import plots as load_plots
from load.sweep.knee import Point
from load.sweep.result import ArmResult, LoadResult, quantiles

TEMPLATES = Path(__file__).parent / "templates"
SPREAD = {"request_throughput", "request_goodput", "output_throughput"}  # whose repeats are shown beside the median
COLUMNS = (  # heading, figure
    ("offered /s", "offered"),
    ("achieved /s", "request_throughput"),
    ("goodput /s", "request_goodput"),
    ("meet", "slo_attainment"),
    ("tok/s", "output_throughput"),
    ("refused", "refused"),
    ("failed", "failed"),
    ("late, ms", "client_late_ms"),
    ("client, cores", "client_cores"),
)
TIMES = tuple((kind, [f"{share}_{kind}_ms" for share in ("p50", "p90", "p95", "p99")]) for kind in ("ttft", "tpot", "itl", "e2el"))
MIB_SHOWN, CORES_SHOWN = 60.0, 0.03


def write_page(result: LoadResult, file: Path) -> Path:
    """Writes it and returns where it is."""
    file.write_text(render(result), "utf-8")
    return file


def render(result: LoadResult) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number}
    environment.globals |= {
        "plots": load_plots,
        "of_arms": of_arms,
        "cell": cell,
        "personas": personas,
        "peaks": peaks,
        "quantiles": quantiles,
    }
    environment.globals |= {"cores": attrgetter("cores"), "memory": attrgetter("memory_mib")}
    return environment.get_template("load.html.j2").render(
        result=result, columns=COLUMNS, times=TIMES, mib_shown=MIB_SHOWN, cores_shown=CORES_SHOWN
    )


def of_arms(result: LoadResult, *names: str) -> list[Point]:
    return [point for point in result.points if point.arm in names]


def number(value: float) -> str:
    """Three digits, and no more zeros than a reader needs."""
    if math.isnan(value):
        return "–"
    if abs(value) >= 100 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")


def cell(point: Point, name: str) -> str:
    """The median of the repeats, and for what matters most from where to where they went."""
    if name not in point.figures:
        return "–"
    found = point.figures[name]
    if name == "slo_attainment":
        return f"{found.value:.0%}"
    text = number(found.value)
    low, high = number(found.low), number(found.high)
    return text if low == high or name not in SPREAD else f"{text} ({low} to {high})"


def personas(arm: ArmResult) -> Iterator[tuple[str, Figures]]:
    """Of each persona over all levels: how many answers, and the mean over the runs of what each run gave."""
    for persona in sorted({name for run in arm.runs for name in run.personas}):
        runs = [run.personas[persona] for run in arm.runs if persona in run.personas]
        names = ("median_ttft_ms", "p99_ttft_ms", "median_tpot_ms", "p99_tpot_ms", "median_e2el_ms", "p99_e2el_ms")
        found = {name: fmean(run[name] for run in runs if name in run) for name in names if any(name in run for run in runs)}
        yield persona, {"completed": sum(run["completed"] for run in runs)} | found


def peaks(arm: ArmResult) -> list[tuple[str, float, float, float]]:
    """Each kind of process: mean and greatest cores, greatest memory in MiB; the largest first."""
    kinds = {kind for sample in arm.samples for kind in sample.memory_mib}
    found = []
    for kind in kinds:
        cores = [sample.cores.get(kind, 0.0) for sample in arm.samples]
        found.append((kind, fmean(cores), max(cores), max(sample.memory_mib.get(kind, 0.0) for sample in arm.samples)))
    return sorted(found, key=lambda row: -row[3])
