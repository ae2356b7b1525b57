"""Linter of the persona pairs: reads the files, applies the rules, prints the findings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.emotions import LABELS, Emotion
from training.datasets.lint import literary, plain
from training.datasets.lint.rules import Line, Lines, Rule
from training.datasets.persona_pairs import DATA, pairs_file, read_pairs
from training.recipe import PairSet

RULES: dict[PairSet, dict[str, Rule]] = {
    "literary": literary.RULES,
    "plain": plain.RULES,
    "simple": plain.RULES_WITHOUT_REFERENCES,
}


@dataclass(frozen=True)
class Finding:
    """A rule that a persona's file breaks.

    Attributes:
        pair_set: set of the file.
        persona: persona of the file.
        rule: name of the rule.
        lines: lines of the file, counted from 1; empty if the whole file breaks the rule.
        message: description for the writer of the data.
    """

    pair_set: PairSet
    persona: Emotion
    rule: str
    lines: tuple[int, ...]
    message: str


# The adapters that ship were trained on these lines, so they stay as they are.
ACCEPTED = frozenset(
    {
        Finding(
            "plain", Emotion.FEAR, "duplicate answer", (318,), "near-duplicate of line 317 of fear"
        )
    }
)


def lint_personas(root: Path = DATA) -> list[Finding]:
    """Lint all sets of persona pairs in the data folder `root`, without the findings in ACCEPTED.

    Raises pydantic's ValidationError for a line that is not a pair.
    """
    findings = (
        finding for pair_set in RULES for finding in lint(pair_set, read_lines(pair_set, root))
    )
    return [finding for finding in findings if finding not in ACCEPTED]


def read_lines(pair_set: PairSet, root: Path = DATA) -> Lines:
    """Read the files of a set. Raises pydantic's ValidationError."""
    return {
        persona: [
            Line(persona, number, pair)
            for number, pair in enumerate(read_pairs(pairs_file(persona, pair_set, root)), 1)
        ]
        for persona in LABELS
    }


def lint(pair_set: PairSet, lines: Lines) -> list[Finding]:
    """Apply the rules of a set to its lines."""
    return [
        Finding(pair_set, persona, name, numbers, message)
        for name, rule in RULES[pair_set].items()
        for persona, numbers, message in rule(lines)
    ]


def print_findings(findings: Sequence[Finding]) -> None:
    """Print the findings as a table."""
    table = Table("set", "persona", "rule", "lines", "finding", title=f"findings: {len(findings)}")
    for finding in findings:
        numbers = ", ".join(map(str, finding.lines))
        message = Text(finding.message)
        table.add_row(finding.pair_set, finding.persona, finding.rule, numbers, message)
    Console().print(table if findings else "no findings")
