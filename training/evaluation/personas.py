"""Measure the persona adapters: emotion in the answers, gain over the base model, text quality.

held-out messages -> arms -> answers -> independent judge -> hit rates and comparisons
                                     -> sentence encoder -> response selection
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.emotions import LABELS, Emotion
from models.errors import ManifestError
from models.manifest import ADAPTER_WEIGHTS, DetectorManifest, load_adapter
from models.prompt import PROMPT_VERSION
from models.weights.cache import Materialized, materialize
from training.datasets.persona_pairs import held_out_pairs
from training.datasets.sources import Example
from training.datasets.words import words
from training.evaluation.cross_persona import (
    Detect,
    Exchange,
    chain_report,
    separability,
    worst_answers,
)
from training.evaluation.generation import GENERATED, Arm, GeneratedAnswer, PersonaGenerator
from training.evaluation.intervals import accuracy_interval, compare_paired
from training.evaluation.judge import Judge, judge_report
from training.evaluation.sampling import SamplingSettings
from training.evaluation.sense.arms import CONSTANT, references
from training.evaluation.sense.encoder import SentenceEncoder
from training.evaluation.sense.report import ENCODER, Answered, sense_report
from training.evaluation.text import distinct, has_echo, mask_emotion_words, repetition
from training.report.schema import (
    ArmReport,
    PairedComparison,
    PersonaReport,
    PersonasReport,
    SenseReport,
)

Exchanges = Mapping[Emotion, Mapping[Arm, Sequence[Exchange]]]


@dataclass(frozen=True, slots=True)
class PersonaArtifacts:
    """Artefacts that the evaluation of the personas needs."""

    base: str  # base weights of the adapters, as a name in the catalogue or a folder
    adapters: Path  # folder with an adapter per persona: a run, or what was published
    judge: Path
    encoder: str = ENCODER  # sentence encoder, as a name in the catalogue or a folder


def find_adapters(folder: Path) -> dict[Emotion, Path]:
    """Find the adapters of the personas below `folder`, a run or published artefacts."""
    found = {}
    for persona in LABELS:
        for candidate in (folder / persona / "adapter", folder / persona):
            if (candidate / ADAPTER_WEIGHTS).exists():
                found[persona] = candidate
    return found


def check_adapters(base: Materialized, folder: Path) -> dict[Emotion, Path]:
    """Return the adapters of all six personas below `folder`, which fit the base weights.

    Raises ManifestError if one is missing, damaged or of other base weights.
    """
    found = find_adapters(folder)
    missing = [persona for persona in LABELS if persona not in found]
    if missing:
        raise ManifestError(f"no adapter of {', '.join(missing)} in {folder}: train them first")
    for path in found.values():
        load_adapter(path, base.sha256, PROMPT_VERSION)
    return found


def check_artifacts(artifacts: PersonaArtifacts) -> None:
    """Raise ManifestError if an adapter or the judge is missing, damaged or does not fit."""
    check_adapters(materialize(artifacts.base), artifacts.adapters)
    DetectorManifest.read(artifacts.judge).check_weights(artifacts.judge)


def personas_report(
    artifacts: PersonaArtifacts,
    detect: Detect,
    unseen: dict[str, list[Example]],
    log: Callable[[str], None],
) -> PersonasReport:
    """Answer every held-out message in each arm, and measure the answers.

    `unseen` are sets that the judge never saw. `log` takes lines about the progress. Raises
    ManifestError if an adapter or the judge is missing, damaged or does not fit.
    """
    base = materialize(artifacts.base)
    adapters = check_adapters(base, artifacts.adapters)
    judge = Judge(artifacts.judge)
    settings = SamplingSettings()
    generator = PersonaGenerator(base, adapters)
    exchanges = {}
    for persona in LABELS:
        exchanges[persona] = _answer_held_out(generator, persona, settings)
        log(f"answered as {persona}")
    adapter_exchanges = {persona: exchanges[persona][Arm.ADAPTER] for persona in LABELS}
    return PersonasReport(
        base=artifacts.base,
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        judge=judge_report(judge, unseen),
        personas=[persona_report(judge, persona, exchanges[persona]) for persona in LABELS],
        separability=separability(generator, settings),
        chain=chain_report(judge, generator, detect, adapter_exchanges, settings),
        sense=_sense(artifacts, exchanges),
        reference_nll={
            persona: generator.nll(persona, held_out_pairs(persona, "plain")) for persona in LABELS
        },
        worst=worst_answers(judge, adapter_exchanges),
    )


def _answer_held_out(
    generator: PersonaGenerator, persona: Emotion, settings: SamplingSettings
) -> dict[Arm, list[Exchange]]:
    messages = [pair.message for pair in held_out_pairs(persona)]
    texts = {
        Arm.CONSTANT: [CONSTANT[persona]] * len(messages),
        Arm.REFERENCE: references(persona),
    }
    answers = {arm: generator.generate(arm, persona, messages, settings) for arm in GENERATED}
    answers |= {arm: [GeneratedAnswer(text, True) for text in own] for arm, own in texts.items()}
    return {
        arm: [Exchange(message, answer) for message, answer in zip(messages, own, strict=True)]
        for arm, own in answers.items()
    }


def _sense(artifacts: PersonaArtifacts, exchanges: Exchanges) -> SenseReport:
    encoder = SentenceEncoder(materialize(artifacts.encoder).folder)
    arms = {
        arm.value: {
            persona: [Answered(each.message, each.text) for each in own[arm]]
            for persona, own in exchanges.items()
        }
        for arm in Arm
    }
    return sense_report(encoder, artifacts.encoder, arms)


def persona_report(
    judge: Judge, persona: Emotion, exchanges: dict[Arm, list[Exchange]]
) -> PersonaReport:
    """Measure the arms of a persona, and compare the adapter with the other generated ones."""
    texts = {arm: [each.text for each in exchanges[arm]] for arm in Arm}
    hits = {arm: judge.hits(texts[arm], persona) for arm in Arm}
    masked = {
        arm: judge.hits([mask_emotion_words(text) for text in texts[arm]], persona) for arm in Arm
    }
    return PersonaReport(
        persona=persona,
        arms={arm.value: arm_report(exchanges[arm], hits[arm], masked[arm]) for arm in Arm},
        comparisons=_comparisons(hits, masked),
    )


def _comparisons(
    hits: dict[Arm, list[bool]], masked: dict[Arm, list[bool]]
) -> list[PairedComparison]:
    others = (Arm.INSTRUCTION, Arm.FEW_SHOT, Arm.BASE)
    return [
        *(compare_paired(hits[Arm.ADAPTER], hits[arm], arm.value) for arm in others),
        compare_paired(
            masked[Arm.ADAPTER],
            masked[Arm.INSTRUCTION],
            f"{Arm.INSTRUCTION}, emotion words masked",
        ),
    ]


def arm_report(exchanges: Sequence[Exchange], hits: list[bool], masked: list[bool]) -> ArmReport:
    """Measure one arm. `masked` are the hits with the emotion words masked."""
    texts = [each.text for each in exchanges]
    return ArmReport(
        answers=len(exchanges),
        hit_rate=accuracy_interval(hits),
        masked_hit_rate=accuracy_interval(masked),
        distinct_1=distinct(texts, 1),
        distinct_2=distinct(texts, 2),
        words_mean=sum(len(words(text)) for text in texts) / len(texts),
        repetition=sum(map(repetition, texts)) / len(texts),
        echo_rate=sum(has_echo(each.text, each.message) for each in exchanges) / len(exchanges),
        stop_rate=sum(each.answer.finished for each in exchanges) / len(exchanges),
    )
