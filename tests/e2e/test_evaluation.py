"""Evaluation of tiny detectors and adapters: the report has every set, arm and persona."""

import json
from pathlib import Path

import pytest
import torch

from models.emotions import LABELS
from models.weights.cache import Materialized, materialize
from support.tiny_models import tiny_bert, tiny_gemma
from training.detector.export import export
from training.detector.train import trainable_model
from training.evaluation.evaluate import evaluate
from training.evaluation.generation import Arm
from training.evaluation.personas import PersonaArtifacts
from training.personas.backends import PeftBackend
from training.personas.train import adapter_manifest, save_adapter
from training.recipe import DetectorRecipe, PersonaRecipe
from training.report.schema import Report

GEMMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TINY = PersonaRecipe(base="tiny", lora_rank=2, lora_modules=GEMMA)


def export_detector(folder: Path, base: Materialized, **fields: object) -> Path:
    recipe = DetectorRecipe.model_validate({"base": base.name, **fields})
    export(trainable_model(recipe, base.folder), base, recipe, "c" * 64, folder)
    return folder


def save_adapters(folder: Path, base: Materialized) -> Path:
    for persona in LABELS:
        torch.manual_seed(persona.id)
        model, _ = PeftBackend().load(TINY, base.folder, None)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data = 0.2 * torch.randn_like(parameter)
        save_adapter(model, base, folder / persona)
        adapter_manifest(persona, base, TINY, folder / persona, {}).write(folder / persona)
    return folder


@pytest.fixture
def report(tmp_path: Path, data: Path) -> tuple[Report, Path]:
    gemma = materialize(str(tiny_gemma(tmp_path / "gemma")))
    bert = materialize(str(tiny_bert(tmp_path / "bert")))
    detectors = [
        export_detector(tmp_path / "bert-detector", bert),
        export_detector(tmp_path / "g", gemma, lora_rank=2, lora_modules=GEMMA),
    ]
    personas = PersonaArtifacts(
        base=gemma.name,
        adapters=save_adapters(tmp_path / "adapters", gemma),
        judge=export_detector(tmp_path / "judge", bert),
        encoder=bert.name,
    )
    out = tmp_path / "report"
    return evaluate(data, detectors, personas, out), out


def test_report_has_every_set_and_every_arm_of_every_persona(report: tuple[Report, Path]) -> None:
    found, out = report
    assert Report.model_validate_json((out / "report.json").read_bytes()) == found
    assert [each.name for each in found.detectors] == ["bert-detector", "g"]
    rows = {name: result.rows for name, result in found.detectors[0].sets.items()}
    assert rows["ordinary_fresh"] == 300
    assert rows["emotion_test"] == 24
    assert found.personas is not None
    assert [each.persona for each in found.personas.personas] == list(LABELS)
    for each in found.personas.personas:
        answers = {name: arm.answers for name, arm in each.arms.items()}
        assert answers == {arm.value: 40 for arm in Arm}
        assert all(0 <= arm.stop_rate <= 1 for arm in each.arms.values())
    assert found.personas.chain.messages == 240
    sense = found.personas.sense.arms
    assert {name: arm.answers for name, arm in sense.items()} == {arm.value: 240 for arm in Arm}
    assert sense["constant"].answer_p1.value == 0
    assert set(found.personas.reference_nll) == set(LABELS)
    assert len(found.personas.worst) == 10
    page = (out / "report.html").read_text("utf-8")
    assert found.detectors[0].content_hash[:12] in page
    environment = json.loads((out / "report.json").read_text())["environment"]
    assert environment["packages"]["torch"].startswith("2.")
