"""Curve of intensity on a tiny model: weights, arms, shares and files."""

from pathlib import Path

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file

from models.emotions import LABELS, Emotion
from models.lora_layout import LORA_B
from models.manifest import ADAPTER_WEIGHTS, AdapterManifest, adapter_hash
from models.prompt import PROMPT_VERSION
from models.weights.cache import Materialized, materialize
from serve.responder.mix import mix_of
from serve.responder.voice import voice_of
from support.tiny_models import tiny_bert, tiny_gemma
from training.detector.export import export
from training.detector.train import trainable_model
from training.evaluation.generation import PersonaGenerator
from training.evaluation.intensity.curve import (
    LEVELS,
    CurveSettings,
    IntensityAnswer,
    answer_levels,
    curve_of,
    scaled_adapters,
)
from training.evaluation.intensity.page import page_of, write_curve
from training.evaluation.personas import PersonaArtifacts
from training.evaluation.sampling import SamplingSettings
from training.evaluation.sense.encoder import SentenceEncoder
from training.personas.backends import PeftBackend
from training.personas.train import save_adapter
from training.recipe import DetectorRecipe, PersonaRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
MESSAGES = 2


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Materialized:
    return materialize(str(tiny_gemma(tmp_path_factory.mktemp("gemma"))))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Materialized:
    return materialize(str(tiny_bert(tmp_path_factory.mktemp("bert"))))


@pytest.fixture(scope="module")
def artifacts(
    base: Materialized, bert: Materialized, tmp_path_factory: pytest.TempPathFactory
) -> PersonaArtifacts:
    """Random adapters with large weights, and a random judge."""
    adapters = tmp_path_factory.mktemp("adapters")
    for persona in LABELS:
        torch.manual_seed(persona.id)
        recipe = PersonaRecipe(base="tiny", lora_rank=2, lora_alpha=6)
        model, _ = PeftBackend().load(recipe, base.folder, None)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data.normal_()
        save_adapter(model, base, adapters / persona)
        write_manifest(adapters / persona, persona, recipe, base)
    judge = tmp_path_factory.mktemp("judge") / "judge"
    of_judge = DetectorRecipe(base=bert.name)
    export(trainable_model(of_judge, bert.folder), bert, of_judge, "c" * 64, judge)
    return PersonaArtifacts(base.name, adapters, judge, bert.name)


def write_manifest(
    folder: Path, persona: Emotion, recipe: PersonaRecipe, base: Materialized
) -> None:
    AdapterManifest(
        content_hash=adapter_hash(folder),
        base=base.name,
        base_hash=base.sha256,
        training_data_hash="0" * 64,
        metrics={},
        name=persona,
        persona=persona,
        rank=recipe.lora_rank,
        alpha=recipe.lora_alpha,
        target_modules=recipe.lora_modules,
        prompt_version=PROMPT_VERSION,
    ).write(folder)


@pytest.mark.parametrize("level", [0.5, 1.5])
def test_weights_are_those_of_serving(
    artifacts: PersonaArtifacts, base: Materialized, level: float
) -> None:
    """B is multiplied by level * alpha / rank in float32 and rounded once, then used as it is."""
    source = artifacts.adapters / "joy"
    voice = voice_of("joy", {"joy": "joy@1"}, mix_of({"joy": 1.0}, level))
    assert voice.parts == (("joy@1", level),)
    with scaled_adapters({Emotion.JOY: source}, level) as folders:
        found = load_file(folders[Emotion.JOY] / ADAPTER_WEIGHTS)
        generator = PersonaGenerator(base, folders)
    trained = load_file(source / ADAPTER_WEIGHTS)
    assert found.keys() == trained.keys()
    used = dict(generator.model.named_parameters())
    for name, tensor in trained.items():
        factor = level * 6 / 2 if name.endswith(LORA_B) else 1
        expected = (tensor.float() * factor).to(tensor.dtype)
        assert torch.equal(found[name], expected)
        assert torch.equal(used[name.replace(".weight", ".joy.weight")], expected.float())
    scaling = {
        module.scaling["joy"]
        for module in generator.model.modules()
        if isinstance(module, BaseTunerLayer)
    }
    assert scaling == {1.0}


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_an_adapter_is_itself_as_trained(artifacts: PersonaArtifacts, level: float) -> None:
    adapters = {Emotion.JOY: artifacts.adapters / "joy"}
    with scaled_adapters(adapters, level) as folders:
        assert folders == adapters


def test_every_persona_answers_at_every_level(
    artifacts: PersonaArtifacts, bert: Materialized, tmp_path: Path
) -> None:
    lines = list[str]()
    settings = CurveSettings(per_persona=MESSAGES, sampling=SamplingSettings(max_tokens=6))
    answers = answer_levels(artifacts, settings, lines.append)
    assert len(lines) == len(LEVELS)
    asked = [(each.intensity, each.persona) for each in answers]
    assert asked == [
        (level, persona) for level in LEVELS for persona in LABELS for _ in range(MESSAGES)
    ]
    texts = {level: [each.text for each in answers if each.intensity == level] for level in LEVELS}
    assert len({tuple(own) for own in texts.values()}) == len(LEVELS)
    assert all("\n" not in each.text for each in answers)

    curve = curve_of(answers, SentenceEncoder(bert.folder))
    page = write_curve(curve, answers, "tiny", tmp_path / "out")
    assert [level.answers for level in curve.overall.values()] == [6 * MESSAGES] * len(LEVELS)
    kept = (tmp_path / "out" / "answers.jsonl").read_text("utf-8").splitlines()
    assert [IntensityAnswer.model_validate_json(line) for line in kept] == answers
    assert page.read_text("utf-8").count("\n| ") == 2 + len(LEVELS) + len(LABELS)
    plot = (tmp_path / "out" / "intensity.svg").read_text("utf-8")
    assert plot.startswith("<svg ")
    assert "Surprise" in plot


def test_shares_are_counted_by_level_and_persona(bert: Materialized) -> None:
    def answer(level: float, persona: Emotion, seen: bool) -> IntensityAnswer:
        return IntensityAnswer(
            intensity=level,
            persona=persona,
            message=f"It rains {persona}",
            text="Oh no, the rain",
            finished=persona is Emotion.FEAR,
            seen=seen,
        )

    answers = [
        answer(level, persona, seen=level == 1.5 or persona is Emotion.FEAR)
        for level in (0.5, 1.5)
        for persona in (Emotion.JOY, Emotion.FEAR)
        for _ in range(2)
    ]
    curve = curve_of(answers, SentenceEncoder(bert.folder))
    assert [level.seen.value for level in curve.overall.values()] == [0.5, 1.0]
    assert [level.finished.value for level in curve.overall.values()] == [0.5, 0.5]
    assert [level.words_mean for level in curve.overall.values()] == [4, 4]
    assert [level.seen.value for level in curve.personas[Emotion.JOY].values()] == [0, 1]
    page = page_of(curve, "tiny", "2026-01-01")
    assert "| 0.5 | 4 | 0.50 (0.15 to 0.85) |" in page
    assert "| joy | 0.00 (0.00 to 0.66) | 1.00 (0.34 to 1.00) |" in page
