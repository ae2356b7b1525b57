"""Messages and conversations on which the safety classifier is trained and tested.

safety/*.jsonl, harm.jsonl, ordinary messages -> labelled rows -> training and validation rows
"""

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.prompt import Turn
from models.safety.levels import OUTCOMES, Category, Finding, Level
from training.datasets.dedup import NearDuplicateIndex
from training.datasets.persona_pairs import DATA
from training.datasets.sources import load_ordinary

FILES = (
    "explicit",
    "statements",
    "implicit",
    "hints",
    "signals",
    "threats",
    "ordinary",
    "feelings",
    "harmless",
    "lookalike",
    "contrasts",
    "long",
    "talks",
)
LEAK_JACCARD = 0.8
# An ordinary message with one of these words may be none: it is left out.
RISK_WORDS = re.compile(
    r"\b(?:suicid\w*|kill\w*|murder\w*|die|died|dies|dying|dead|death|hurt\w*|harm\w*|cut|cutting|"
    r"blood|bleed\w*|pills?|tablets?|overdos\w*|knife|gun|rope|bridge|hang\w*|goodbye|hopeless|"
    r"worthless|pointless|alive|existing|disappear\w*|burden|hit|punch\w*|threat\w*|stalk\w*|"
    r"beat\w*|chok\w*|strangl\w*|stab\w*|burn\w*|numb)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled message or conversation.

    Attributes:
        turns: one turn of the user, or a conversation.
        outcomes: indices of the outcomes that are right. There are two where only the category is
            known, not the level.
        kind: what makes the row what it is, as `idiom`; one line of the report each.
        where: place of the signal in a long text: first, middle or last; empty if unknown.
    """

    turns: tuple[Turn, ...]
    outcomes: frozenset[int]
    kind: str
    where: str = ""

    @property
    def finding(self) -> Finding | None:
        """The most serious outcome that is right."""
        return OUTCOMES[max(self.outcomes)]

    @property
    def text(self) -> str:
        """All turns, one line each."""
        return "\n".join(turn.text for turn in self.turns)


def load_rows(name: str) -> list[Row]:
    """Load a file of `training/data/safety`."""
    return [
        Row(_turns(line), frozenset({_outcome(line)}), line["kind"], line.get("where", ""))
        for line in _lines(f"safety/{name}.jsonl")
    ]


def load_harm_rows() -> list[Row]:
    """Load the messages whose category is known but not their level."""
    return [
        Row(_turns(line), _outcomes_of(line["category"]), "harm") for line in _lines("harm.jsonl")
    ]


def load_ordinary_rows(count: int, seed: int) -> list[Row]:
    """Sample ordinary messages of the six emotions, none with a word of risk."""
    texts = [example.text for example in load_ordinary(held_out=False)]
    harmless = [text for text in texts if not RISK_WORDS.search(text)]
    sample = random.Random(seed).sample(harmless, count)
    return [ordinary_row(text, "message") for text in sample]


def ordinary_row(text: str, kind: str) -> Row:
    """Return a row of a harmless text."""
    return Row((Turn("user", text),), frozenset({0}), kind)


def without_near_duplicates(rows: Sequence[Row], test: Sequence[Row]) -> list[Row]:
    """Leave out near-duplicates of test rows: two writers may have the same idea."""
    index = NearDuplicateIndex(LEAK_JACCARD)
    for row in test:
        index.add(row.text)
    return [row for row in rows if index.find(row.text) is None]


def split(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Split into training and validation rows, with the same share of each kind and outcome."""
    groups: dict[tuple[str, tuple[int, ...]], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.kind, tuple(sorted(row.outcomes))].append(row)
    training: list[Row] = []
    validation: list[Row] = []
    generator = random.Random(seed)
    for key in sorted(groups):
        group = groups[key]
        generator.shuffle(group)
        held = round(len(group) * share)
        validation += group[:held]
        training += group[held:]
    return training, validation


def _lines(name: str) -> Iterator[dict[str, str]]:
    return map(json.loads, (DATA / name).read_text("utf-8").splitlines())


def _turns(line: Mapping[str, object]) -> tuple[Turn, ...]:
    turns = line.get("turns")
    if isinstance(turns, list):
        return tuple(Turn(turn["role"], turn["text"]) for turn in turns)
    return (Turn("user", str(line["text"])),)


def _outcome(line: dict[str, str]) -> int:
    """Return the index of a line's outcome. A concern has no category here."""
    if line["level"] == "none":
        return 0
    level = Level(line["level"])
    category = Category(line["category"]) if level is Level.CRISIS else None
    return OUTCOMES.index(Finding(level, category))


def _outcomes_of(category: str | None) -> frozenset[int]:
    if category is None:
        return frozenset({0})
    crisis = OUTCOMES.index(Finding(Level.CRISIS, Category(category)))
    return frozenset({1, crisis})
