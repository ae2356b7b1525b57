"""The curve of intensity as a Markdown page with a plot, and its answers as JSON lines."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from models.personas import builtin_personas
from training.evaluation.intensity.curve import Curve, IntensityAnswer
from training.report.plots import level_curve
from training.report.schema import Interval

PAGE = "intensity.md"
PLOT = "intensity.svg"
ANSWERS = "answers.jsonl"


def write_curve(curve: Curve, answers: Sequence[IntensityAnswer], base: str, out: Path) -> Path:
    """Write page, plot and answers into a folder, and return the path of the page."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [each.model_dump_json() + "\n" for each in answers]
    (out / ANSWERS).write_text("".join(lines), "utf-8")
    (out / PLOT).write_text(str(plot_of(curve)) + "\n", "utf-8")
    (out / PAGE).write_text(page_of(curve, base, datetime.date.today().isoformat()), "utf-8")
    return out / PAGE


def page_of(curve: Curve, base: str, date: str) -> str:
    """Return the page. `date` is that of the measurement."""
    return "\n".join(
        [
            "# What intensity does",
            "",
            f"Answers of {base} with its adapters to the held-out messages of each persona, "
            f"{date},",
            "by `python -m training intensity`. Each intensity has the weights that serving uses;",
            "0 is the base model with the persona's instruction. Shares with 95 % intervals of",
            "Wilson.",
            "",
            *_overall(curve),
            "",
            '"Emotion seen": the independent judge sees the persona\'s emotion. "Message found": a',
            "sentence encoder finds the message of the answer among 50, those of the same persona",
            "first.",
            "",
            "## Emotion seen, by persona",
            "",
            *_by_persona(curve),
            "",
            f"![Share of answers with the emotion of the persona, by intensity]({PLOT})",
            "",
        ]
    )


def plot_of(curve: Curve) -> str:
    """Return the plot as an SVG element."""
    personas = builtin_personas()
    lines = {
        personas[persona].name: (
            personas[persona].colour,
            [level.seen.value for level in levels.values()],
        )
        for persona, levels in curve.personas.items()
    }
    overall = [level.seen for level in curve.overall.values()]
    return str(level_curve(list(curve.overall), overall, lines))


def _overall(curve: Curve) -> list[str]:
    rows = [
        [
            f"{intensity:g}",
            str(level.answers),
            _share(level.seen),
            _share(curve.sense[intensity]),
            f"{level.words_mean:.1f}",
            _share(level.finished),
        ]
        for intensity, level in curve.overall.items()
    ]
    head = ["intensity", "answers", "emotion seen", "message found", "words", "ends by itself"]
    return _table([head, *rows])


def _by_persona(curve: Curve) -> list[str]:
    head = ["persona", *(f"{intensity:g}" for intensity in curve.overall)]
    rows = [
        [persona.value, *(_share(level.seen) for level in levels.values())]
        for persona, levels in curve.personas.items()
    ]
    return _table([head, *rows])


def _table(rows: list[list[str]]) -> list[str]:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return [head, "|---" * len(rows[0]) + "|", *body]


def _share(share: Interval) -> str:
    return f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})"
