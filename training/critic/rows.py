"""Training rows of the critic: written pairs, wrong answers, and read labels.

A wrong answer is of one of five kinds, four of them made. Each is wrong in its own way, so the
critic must read both texts: the words alone, the emotion and the topic do not tell.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from models.critic import conversation_text
from models.emotions import LABELS, Emotion
from models.prompt import Turn
from training.critic.roles import swap_roles
from training.datasets.contrasts import Contrast
from training.datasets.persona_pairs import Pair
from training.datasets.read_labels import LabelledAnswer

PairsOf = Callable[[Emotion], Sequence[Pair]]


class Wrong(StrEnum):
    """Way to make a wrong answer."""

    SHUFFLED = "shuffled"  # the answer to any other message
    SAME_EMOTION = "same-emotion"  # of the same persona
    SAME_TOPIC = "same-topic"  # of the same persona, to a message of the same topic
    ROLE_SWAPPED = "role-swapped"  # the right answer, with the persons exchanged
    CONTRAST = "contrast"  # written: nearly right


MADE = (Wrong.SHUFFLED, Wrong.SAME_EMOTION, Wrong.SAME_TOPIC, Wrong.ROLE_SWAPPED)


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation, an answer, and the probability that it makes sense."""

    conversation: str
    answer: str
    target: float
    kind: Wrong | None = None  # None: written or read


@dataclass(frozen=True, slots=True)
class _Written:
    persona: Emotion
    pair: Pair


def written_rows(pairs_of: PairsOf, wrong: int, count: int | None, seed: int) -> list[Row]:
    """Return rows of written pairs, each followed by `wrong` wrong answers of changing kinds.

    Args:
        pairs_of: pairs of a persona.
        wrong: wrong answers for each pair.
        count: pairs to use, drawn from all personas; None: all.
        seed: seed of everything that is drawn.
    """
    pool = [_Written(persona, pair) for persona in LABELS for pair in pairs_of(persona)]
    generator = random.Random(seed)
    chosen = generator.sample(pool, min(count or len(pool), len(pool)))
    maker = WrongAnswers(pool, generator)
    rows = []
    for number, written in enumerate(chosen):
        conversation = conversation_text(written.pair.conversation)
        rows.append(Row(conversation, written.pair.answer, 1.0))
        for turn in range(wrong):
            kind, answer = maker.make(written, MADE[(number * wrong + turn) % len(MADE)])
            rows.append(Row(conversation, answer, 0.0, kind))
    return rows


class WrongAnswers:
    """Maker of wrong answers from a pool of written pairs."""

    def __init__(self, pool: Sequence[_Written], generator: random.Random) -> None:
        self.generator = generator
        self.pool = pool
        self.by_persona: dict[Emotion, list[_Written]] = {}
        self.by_topic: dict[tuple[Emotion, str], list[_Written]] = {}
        for written in pool:
            self.by_persona.setdefault(written.persona, []).append(written)
            self.by_topic.setdefault((written.persona, written.pair.topic), []).append(written)

    def make(self, written: _Written, kind: Wrong) -> tuple[Wrong, str]:
        """Make a wrong answer of a kind, or of the next wider one if there is none."""
        if kind is Wrong.ROLE_SWAPPED:
            swapped = swap_roles(written.pair.answer)
            if swapped:
                return kind, swapped
            kind = Wrong.SAME_TOPIC
        for narrower, candidates in self._candidates(written, kind):
            if len(candidates) > 1:
                return narrower, self._other(written, candidates)
        raise ValueError("a wrong answer needs at least two pairs")

    def _candidates(
        self, written: _Written, kind: Wrong
    ) -> Iterator[tuple[Wrong, Sequence[_Written]]]:
        if kind is Wrong.SAME_TOPIC:
            yield Wrong.SAME_TOPIC, self.by_topic[written.persona, written.pair.topic]
        if kind is not Wrong.SHUFFLED:
            yield Wrong.SAME_EMOTION, self.by_persona[written.persona]
        yield Wrong.SHUFFLED, self.pool

    def _other(self, written: _Written, candidates: Sequence[_Written]) -> str:
        while True:
            found = self.generator.choice(candidates)
            if found is not written:
                return found.pair.answer


def contrast_rows(contrasts: Sequence[Contrast], repeats: int) -> list[Row]:
    """Return the right and the wrong answer of each contrast, each `repeats` times."""
    rows = []
    for each in contrasts:
        conversation = conversation_text(each.conversation)
        rows.append(Row(conversation, each.answer, 1.0))
        rows.append(Row(conversation, each.wrong, 0.0, Wrong.CONTRAST))
    return rows * repeats


def read_rows(labelled: Sequence[LabelledAnswer], repeats: int) -> list[Row]:
    """Return rows of the read answers that are not held out, each `repeats` times."""
    rows = [
        Row(message_text(each.message), each.answer, each.mark / 2)
        for each in labelled
        if not each.is_held_out
    ]
    return rows * repeats


def message_text(message: str) -> str:
    """Return the text that the critic reads for a single message."""
    return conversation_text([Turn("user", message)])
