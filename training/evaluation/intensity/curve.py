"""Shares of answers in which the judge sees the persona's emotion, by intensity.

adapters -> scaled as serving scales them -> answers to held-out messages -> judge -> `Curve`
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from models.emotions import LABELS, Emotion
from models.schema import FrozenModel
from models.store.blend import write_blend
from models.weights.cache import Materialized, materialize
from training.datasets.persona_pairs import held_out_pairs
from training.datasets.words import words
from training.evaluation.generation import Arm, PersonaGenerator
from training.evaluation.intervals import wilson_interval
from training.evaluation.judge import Judge
from training.evaluation.personas import PersonaArtifacts, check_adapters
from training.evaluation.sampling import SamplingSettings
from training.evaluation.sense.encoder import SentenceEncoder
from training.evaluation.sense.report import Answered, sense_result
from training.report.schema import Interval

BASE, AS_TRAINED = 0.0, 1.0
LEVELS = (BASE, 0.5, AS_TRAINED, 1.5)


class IntensityAnswer(FrozenModel):
    """An answer, and if the judge saw the persona's emotion in it."""

    intensity: float
    persona: Emotion
    message: str
    text: str
    finished: bool  # it ended by itself
    seen: bool


class Level(NamedTuple):
    """Answers at one intensity, of one persona or of all six."""

    answers: int
    seen: Interval  # share in which the judge sees the persona's emotion
    finished: Interval  # share that ends by itself
    words_mean: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Levels of each persona and of all six, and the share of answers that fit their message."""

    personas: Mapping[Emotion, Mapping[float, Level]]
    overall: Mapping[float, Level]
    sense: Mapping[float, Interval]  # the encoder finds the message of the answer


@dataclass(frozen=True, slots=True)
class CurveSettings:
    """Size of a measurement."""

    levels: Sequence[float] = LEVELS
    per_persona: int | None = None  # held-out messages; None: all
    sampling: SamplingSettings = field(default_factory=SamplingSettings)


def answer_levels(
    artifacts: PersonaArtifacts, settings: CurveSettings, log: Callable[[str], None]
) -> list[IntensityAnswer]:
    """Answer the held-out messages of every persona at every intensity, and judge the answers.

    Raises ManifestError if an adapter is missing, damaged or of other base weights, and
    ArtifactError if a file of one cannot be scaled.
    """
    base = materialize(artifacts.base)
    adapters = check_adapters(base, artifacts.adapters)
    judge = Judge(artifacts.judge)
    answers: list[IntensityAnswer] = []
    for level in settings.levels:
        with scaled_adapters(adapters, level) as folders:
            answers += _answer_level(base, folders, judge, level, settings)
        log(f"answered at intensity {level}")
    return answers


@contextmanager
def scaled_adapters(
    adapters: Mapping[Emotion, Path], level: float
) -> Iterator[dict[Emotion, Path]]:
    """Yield folders of the adapters at an intensity: the same weights as in serving.

    Serving uses an adapter itself at intensity 1, and none at 0; there the folders are unscaled.
    """
    if level in {BASE, AS_TRAINED}:
        yield dict(adapters)
        return
    with TemporaryDirectory(prefix="fye-intensity-") as scratch:
        folders = {persona: Path(scratch, persona) for persona in adapters}
        for persona, folder in adapters.items():
            write_blend([(folder, level)], folders[persona])
        yield folders


def _answer_level(
    base: Materialized,
    adapters: dict[Emotion, Path],
    judge: Judge,
    level: float,
    settings: CurveSettings,
) -> Iterator[IntensityAnswer]:
    generator = PersonaGenerator(base, adapters)
    arm = Arm.INSTRUCTION if level == BASE else Arm.ADAPTER
    for persona in [each for each in LABELS if each in adapters]:
        messages = [pair.message for pair in held_out_pairs(persona)][: settings.per_persona]
        found = generator.generate(arm, persona, messages, settings.sampling, one_line=True)
        hits = judge.hits([each.text for each in found], persona)
        for message, each, seen in zip(messages, found, hits, strict=True):
            yield IntensityAnswer(
                intensity=level,
                persona=persona,
                message=message,
                text=each.text,
                finished=each.finished,
                seen=seen,
            )


def curve_of(answers: Sequence[IntensityAnswer], encoder: SentenceEncoder) -> Curve:
    """Summarise answers. The encoder chooses the message of each answer among those of a level."""
    levels = sorted({each.intensity for each in answers})
    at = {level: [each for each in answers if each.intensity == level] for level in levels}
    personas = [persona for persona in LABELS if any(each.persona is persona for each in answers)]
    return Curve(
        personas={
            persona: {level: _level(_of(persona, own)) for level, own in at.items()}
            for persona in personas
        },
        overall={level: _level(own) for level, own in at.items()},
        sense={
            level: sense_result(
                encoder,
                {
                    persona: [Answered(each.message, each.text) for each in _of(persona, own)]
                    for persona in personas
                },
            ).message_p1
            for level, own in at.items()
        },
    )


def _of(persona: Emotion, answers: Iterable[IntensityAnswer]) -> list[IntensityAnswer]:
    return [each for each in answers if each.persona is persona]


def _level(answers: Sequence[IntensityAnswer]) -> Level:
    return Level(
        answers=len(answers),
        seen=wilson_interval([each.seen for each in answers]),
        finished=wilson_interval([each.finished for each in answers]),
        words_mean=sum(len(words(each.text)) for each in answers) / len(answers),
    )
