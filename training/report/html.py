"""Write a report as `report.json` and as one self-contained page of HTML.

Answers and messages are untrusted text: everything is escaped, and the page's content security
policy allows no scripts and no external resources.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.emotions import LABELS
from training.report.findings import findings
from training.report.format import (
    ADAPTER,
    EMOTION_TEST,
    arms,
    interval,
    number,
    ordered,
    p_value,
    points,
    set_title,
)
from training.report.plots import hit_rates, reliability_diagram
from training.report.schema import Report

TEMPLATES = Path(__file__).parent / "templates"
SIGNIFICANCE = 0.05
FILTERS = {
    "number": number,
    "interval": interval,
    "points": points,
    "p_value": p_value,
    "title": set_title,
}
FUNCTIONS = {
    "reliability_diagram": reliability_diagram,
    "hit_rates": hit_rates,
    "ordered": ordered,
    "arms": arms,
}


def write_report(report: Report, folder: Path) -> Path:
    """Write `report.json` and `report.html` into `folder`, and return the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.model_dump_json(indent=2) + "\n", "utf-8")
    page = folder / "report.html"
    page.write_text(render(report), "utf-8")
    return page


def render(report: Report) -> str:
    """Render the page. The first detector is presented as the one that ships."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    environment.globals |= FUNCTIONS
    return environment.get_template("report.html.j2").render(
        report=report,
        labels=LABELS,
        findings=list(findings(report)),
        adapter=ADAPTER,
        emotion_test=EMOTION_TEST,
        alpha=SIGNIFICANCE,
    )
