"""Check of the artefacts of the personas, before anything is measured."""

from pathlib import Path

import pytest

from models.emotions import LABELS, Emotion
from models.errors import ManifestError
from models.prompt import PROMPT_VERSION
from models.weights.cache import Materialized
from support.adapters import write_adapter
from training.evaluation import evaluate, personas
from training.evaluation.intensity import curve
from training.evaluation.personas import PersonaArtifacts, check_adapters
from training.reading import draw

SHA = "0123456789ab" + "0" * 52  # of the base that `write_adapter` names
assert PROMPT_VERSION == "friend-1"


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    """Adapters of all personas: of a run, and as published."""
    for persona in LABELS:
        inner = "adapter" if persona is Emotion.JOY else ""
        write_adapter(tmp_path / "adapters" / persona / inner, persona)
    return tmp_path / "adapters"


def test_finds_the_adapters_of_all_personas(adapters: Path) -> None:
    found = check_adapters(Materialized("tiny", adapters, SHA), adapters)
    assert list(found) == list(LABELS)
    assert found[Emotion.JOY] == adapters / "joy" / "adapter"


def test_rejects_a_missing_adapter_and_another_base(adapters: Path) -> None:
    with pytest.raises(ManifestError, match="base-model hash"):
        check_adapters(Materialized("tiny", adapters, "f" * 64), adapters)
    (adapters / "fear" / "adapter_model.safetensors").unlink()
    with pytest.raises(ManifestError, match=r"no adapter of fear .* train them first"):
        check_adapters(Materialized("tiny", adapters, SHA), adapters)


def test_every_measurement_checks_the_adapters_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Materialized("tiny", tmp_path, SHA)
    for module in (personas, curve, draw):
        monkeypatch.setattr(module, "materialize", lambda name: base)
    for name in ("quiet_libraries", "prepare_machine"):
        monkeypatch.setattr(evaluate, name, lambda: None)
    monkeypatch.setattr(evaluate, "evaluation_sets", lambda data: pytest.fail("read the sets"))
    monkeypatch.setattr(curve, "Judge", lambda folder: pytest.fail("loaded the judge"))
    artifacts = PersonaArtifacts("tiny", tmp_path, tmp_path / "judge")
    with pytest.raises(ManifestError, match="no adapter of"):
        evaluate.evaluate(None, [], artifacts, tmp_path / "out")
    with pytest.raises(ManifestError, match="no adapter of"):
        curve.answer_levels(artifacts, curve.CurveSettings(), print)
    with pytest.raises(ManifestError, match="no adapter of"):
        draw.draw_answers("tiny", tmp_path, draw.Draw(per_persona=1), print)
