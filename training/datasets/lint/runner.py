"""The linter of the persona pairs: what the base model is never to learn from them, and what it cannot learn without.

The shipped data have no finding, and there is no list of exceptions: where a rule and a line disagree, the line is written anew or the
rule is mended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.emotions import LABELS, Emotion
from training.datasets.lint.rules import RULES, Line, Lines
from training.datasets.persona_pairs import DATA, Pair


@dataclass(frozen=True)
class Finding:
    persona: Emotion
    rule: str
    where: tuple[int, ...]  # lines of the persona's file, counted from 1; none where a rule speaks of the whole file
    what: str


def lint_personas(folder: Path | None = None) -> list[Finding]:
    """What the rules find in the files of `folder`, in the shipped ones without it. Raises ValidationError for a line that is no pair."""
    folder = folder or DATA / "personas"
    files = {persona: (folder / f"{persona}.jsonl").read_text("utf-8").splitlines() for persona in LABELS}
    return lint({who: [Line(who, row, Pair.model_validate_json(text)) for row, text in enumerate(files[who], 1)] for who in LABELS})


def lint(lines: Lines) -> list[Finding]:
    return [Finding(persona, name, where, what) for name, rule in RULES.items() for persona, where, what in rule(lines)]


def print_findings(findings: Sequence[Finding]) -> None:
    table = Table("persona", "rule", "lines", "what", title=f"findings: {len(findings)}")
    for finding in findings:
        table.add_row(finding.persona, finding.rule, ", ".join(map(str, finding.where)), Text(finding.what))
    Console().print(table if findings else "no findings")
