"""Writes a report: `report.json`, and one page of HTML that needs nothing beside it.

Answers and messages are untrusted text: everything is escaped, and the page's own policy lets no script run and no resource load.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.emotions import LABELS
from training.report.findings import findings
from training.report.format import ADAPTER, EMOTION_TEST, arms, interval, number, ordered, p_value, points, title
from training.report.plots import hit_rates, reliability_diagram
from training.report.schema import Report

TEMPLATES = Path(__file__).parent / "templates"
SIGNIFICANCE = 0.05


def write_report(report: Report, folder: Path) -> Path:
    """Writes `report.json` and `report.html` into `folder`, and returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.model_dump_json(indent=2) + "\n", "utf-8")
    page = folder / "report.html"
    page.write_text(render(report), "utf-8")
    return page


def render(report: Report) -> str:
    """The page. The first detector is taken for the one that ships."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "interval": interval, "points": points, "p_value": p_value, "title": title}
    environment.globals |= {"reliability_diagram": reliability_diagram, "hit_rates": hit_rates, "ordered": ordered, "arms": arms}
    return environment.get_template("report.html.j2").render(
        report=report, labels=LABELS, findings=list(findings(report)), adapter=ADAPTER, emotion_test=EMOTION_TEST, alpha=SIGNIFICANCE
    )
