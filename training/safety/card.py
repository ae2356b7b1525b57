"""Model card of the safety classifier, generated from its manifest and its measures."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

from models.manifest import SafetyManifest
from models.safety.levels import Finding
from models.weights.catalog import find_weights
from training.report.schema import Interval
from training.runs.publish import CARDS
from training.safety.measure import Measures, Result

CARD = "README.md"


def write_card(artifact: Path, measures: Measures) -> Path:
    """Write the card into the folder of the artefact."""
    manifest = SafetyManifest.read(artifact)
    template = Template((CARDS / "safety.md").read_text("utf-8"))
    text = template.substitute(
        base=manifest.base,
        base_hash=manifest.base_hash,
        content_hash=manifest.content_hash,
        training_data_hash=manifest.training_data_hash,
        crisis=manifest.thresholds.crisis,
        concern=manifest.thresholds.concern,
        validation=_lines(f"| `{name}` | {value:g} |" for name, value in manifest.metrics.items()),
        measures=_lines(
            f"| {one.name} | {one.rows} | {interval_text(one.share)} | {one.goal} |"
            for one in measures.measures
        ),
        cells=_lines(
            f"| {cell.length or ''} | {cell.place} | {cell.rows} | {interval_text(cell.crisis)} | "
            f"{interval_text(cell.either)} |"
            for cell in measures.cells
        ),
        misses=_examples(measures.misses),
        false_alarms=_examples(measures.false_alarms),
        licence=find_weights(manifest.base).licence,
    )
    file = artifact / CARD
    file.write_text(text, "utf-8")
    return file


def interval_text(interval: Interval) -> str:
    """Return a share and its interval, as `0.950 (0.901 to 0.976)`."""
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _examples(results: Sequence[Result]) -> str:
    """Return one line of a list for each result, its text unedited."""
    if not results:
        return "None."
    return _lines(
        f"- {one.row.kind}, {_name(one.row.finding)} found as {_name(one.found)}: `{_text(one)}`"
        for one in results
    )


def _text(result: Result) -> str:
    """Return the turns on one line. A back-tick would end the code, so it becomes a quote."""
    turns = [f"{turn.role}: {turn.text}" for turn in result.row.turns]
    whole = " / ".join(turns) if len(turns) > 1 else result.row.text
    return whole.replace("`", "'").replace("\n", " ")


def _name(finding: Finding | None) -> str:
    if finding is None:
        return "nothing"
    return f"{finding.level} ({finding.category})" if finding.category else str(finding.level)


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)
