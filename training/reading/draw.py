"""Draw the answers of one system to held-out messages, with the sampling of serving."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.emotions import LABELS
from models.weights.cache import materialize
from training.datasets.persona_pairs import Pair, held_out_pairs
from training.errors import ReadingError
from training.evaluation.generation import Arm, PersonaGenerator
from training.evaluation.personas import check_adapters
from training.evaluation.sampling import SamplingSettings
from training.reading.sheet import DrawnAnswer

MESSAGES_SEED = 0  # every system answers the same messages


@dataclass(frozen=True, slots=True)
class Draw:
    """Answers to draw."""

    per_persona: int  # messages of each persona; they are the same for every system
    samples: int = 1  # answers to each message
    seed: int = 0  # of the first samples; a further sample has the next seed


def draw_answers(
    base: str, adapters: Path, draw: Draw, log: Callable[[str], None]
) -> list[DrawnAnswer]:
    """Draw answers of the adapters to held-out messages of each persona.

    Args:
        base: base weights, as a name in the catalogue or a folder.
        adapters: folder with an adapter per persona.
        draw: number of messages and of answers, and the seed.
        log: takes lines about the progress.

    Raises:
        ManifestError: an adapter is missing, damaged or of other base weights.
        ReadingError: a persona has too few held-out messages.
    """
    weights = materialize(base)
    generator = PersonaGenerator(weights, check_adapters(weights, adapters))
    answers = []
    for persona in LABELS:
        messages = [
            pair.message for pair in choose_pairs(held_out_pairs(persona), draw.per_persona)
        ]
        for sample in range(draw.samples):
            settings = SamplingSettings(seed=draw.seed + sample)
            drawn = generator.generate(Arm.ADAPTER, persona, messages, settings)
            answers += [
                DrawnAnswer(persona=persona, message=message, answer=answer.text)
                for message, answer in zip(messages, drawn, strict=True)
            ]
        log(f"answered as {persona}")
    return answers


def reference_answers(per_persona: int) -> list[DrawnAnswer]:
    """Return the written references to the messages that `draw_answers` uses."""
    return [
        DrawnAnswer(persona=persona, message=pair.message, answer=pair.answer)
        for persona in LABELS
        for pair in choose_pairs(held_out_pairs(persona, "plain"), per_persona)
    ]


def choose_pairs(pairs: list[Pair], count: int) -> list[Pair]:
    """Choose pairs at random, always the same ones. Raises ReadingError if there are too few."""
    if count > len(pairs):
        raise ReadingError(f"{count} messages a persona: there are only {len(pairs)}")
    return random.Random(MESSAGES_SEED).sample(pairs, count)
