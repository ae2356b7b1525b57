"""`python -m training evaluate` on tiny models: one command, one report, whatever the artefacts are."""

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
from training.personas.backends import PeftBackend
from training.personas.train import save_adapter
from training.recipe import DetectorRecipe, PersonaRecipe
from training.report.schema import Report

GEMMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TINY = PersonaRecipe(base="tiny", lora_rank=2, lora_modules=GEMMA)


def detector(folder: Path, base: Materialized, **fields: object) -> Path:
    recipe = DetectorRecipe.model_validate({"base": base.name, **fields})
    export(trainable_model(recipe, base.folder), base, recipe, "c" * 64, folder)
    return folder


def adapters(folder: Path, base: Materialized) -> Path:
    for persona in LABELS:
        torch.manual_seed(persona.id)
        model, _ = PeftBackend().load(TINY, base.folder, None)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data = 0.2 * torch.randn_like(parameter)
        save_adapter(model, base, folder / persona)
    return folder


@pytest.fixture
def report(tmp_path: Path, data: Path) -> tuple[Report, Path]:
    gemma, bert = materialize(str(tiny_gemma(tmp_path / "gemma"))), materialize(str(tiny_bert(tmp_path / "bert")))
    ours = [detector(tmp_path / "bert-detector", bert), detector(tmp_path / "g", gemma, lora_rank=2, lora_modules=GEMMA)]
    judge = detector(tmp_path / "judge", bert)
    out = tmp_path / "report"
    return evaluate(data, ours, adapters(tmp_path / "adapters", gemma), gemma.name, judge, out), out


def test_the_report_has_every_arm_of_every_persona_and_every_set(report: tuple[Report, Path]) -> None:
    found, out = report
    assert Report.model_validate_json((out / "report.json").read_bytes()) == found
    assert [one.name for one in found.detectors] == ["bert-detector", "g"]
    rows = {name: on_set.rows for name, on_set in found.detectors[0].sets.items()}
    assert rows["ordinary_fresh"] == 300
    assert rows["emotion_test"] == 24
    assert found.personas is not None
    assert [one.persona for one in found.personas.personas] == list(LABELS)
    for one in found.personas.personas:
        assert {name: arm.answers for name, arm in one.arms.items()} == {arm.value: 40 for arm in Arm}
        assert all(0 <= arm.stop_rate <= 1 for arm in one.arms.values())
    assert found.personas.chain.messages == 240
    assert len(found.personas.worst) == 10
    page = (out / "report.html").read_text("utf-8")
    assert found.detectors[0].content_hash[:12] in page
    assert json.loads((out / "report.json").read_text())["environment"]["packages"]["torch"].startswith("2.")
