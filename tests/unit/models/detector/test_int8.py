"""Int8 detector: agreement with floating point, conversion cache, and choice of precision."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.detector.factory import open_classifier
from models.detector.int8 import cache
from models.detector.int8.activations import channel_copies
from models.detector.int8.cache import int8_files, int8_problem, int8_weights, supports_int8
from models.detector.int8.classifier import Int8Classifier
from models.detector.transformer import TransformerClassifier
from models.hashing import file_sha256
from models.weights.cache import materialize
from support.tiny_models import tiny_bert, tiny_mpnet
from training.detector.export import export
from training.detector.train import trainable_model
from training.recipe import DetectorRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["hello", "a longer text than the other one, to be padded to", "é!", "x" * 200]
needs_int8 = pytest.mark.skipif(
    not cache.has_int8_dot_product(), reason="int8 sums overflow on this CPU"
)


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny MPNet detector of random weights, with one outlier channel and its own cache."""
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "cache"))
    base = materialize(str(tiny_mpnet(tmp_path / "base")))
    recipe = DetectorRecipe(base=base.name)
    torch.manual_seed(1)
    model = trainable_model(recipe, base.folder)
    for name, parameter in model.named_parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
        if name.endswith("LayerNorm.weight"):
            parameter.data[5] = 30
    export(model.float().eval(), base, recipe, "c" * 64, tmp_path / "artifact")
    return tmp_path / "artifact"


@pytest.fixture
def int8_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU with int8 dot products."""
    monkeypatch.setattr(cache, "has_int8_dot_product", lambda: True)


@needs_int8
def test_outputs_are_close_to_floating_point(artifact: Path) -> None:
    logits, features = TransformerClassifier(artifact, torch.float32).forward(TEXTS)
    int8_logits, int8_features = Int8Classifier(artifact).forward(TEXTS)
    assert int8_logits.dtype == int8_features.dtype == torch.float32
    assert logits.std() > 0.05
    assert (int8_logits - logits).abs().max() < 0.05 * logits.abs().max()
    assert (int8_features - features).norm() < 0.05 * features.norm()


@needs_int8
def test_outputs_do_not_depend_on_the_batch(artifact: Path) -> None:
    classifier = Int8Classifier(artifact)
    alone = torch.cat([classifier.logits([text]) for text in TEXTS])
    assert torch.allclose(classifier.logits(TEXTS), alone, atol=1e-3)


def test_converts_once_per_format(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[str] = []
    file = int8_weights(artifact, reports.append)
    digest = file_sha256(file)
    assert int8_weights(artifact, reports.append) == file
    assert len(reports) == 1
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    other = int8_weights(artifact, reports.append)
    assert other != file
    assert file_sha256(other) == digest


@pytest.mark.parametrize("damage", ["truncated", "changed", "no digest"])
def test_a_damaged_conversion_is_made_again(artifact: Path, damage: str) -> None:
    reports: list[str] = []
    file = int8_weights(artifact, reports.append)
    whole = file.read_bytes()
    assert int8_files() == [file]
    assert int8_problem(file) is None
    if damage == "no digest":
        file.with_suffix(".sha256").unlink()
    else:
        file.write_bytes(whole[:100] if damage == "truncated" else whole[:-1] + b"!")
    assert int8_problem(file)
    reports.clear()
    int8_weights(artifact, reports.append)
    assert len(reports) == 2
    assert f"{file} " in reports[0]
    assert reports[0].endswith("it is made again")
    assert file.read_bytes() == whole


@pytest.mark.usefixtures("int8_cpu")
def test_other_architectures_stay_in_floating_point(tmp_path: Path) -> None:
    base = materialize(str(tiny_bert(tmp_path / "base")))
    recipe = DetectorRecipe(base=base.name)
    folder = tmp_path / "artifact"
    export(trainable_model(recipe, base.folder), base, recipe, "c" * 64, folder)
    assert not supports_int8(folder)
    assert not isinstance(open_classifier(folder), Int8Classifier)


@pytest.mark.usefixtures("int8_cpu")
def test_precision_and_cpu_select_the_classifier(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_classifier(artifact), Int8Classifier)
    assert not isinstance(open_classifier(artifact, precision="bf16"), Int8Classifier)
    monkeypatch.setattr(cache, "has_int8_dot_product", lambda: False)
    assert not isinstance(open_classifier(artifact), Int8Classifier)


def test_int8_does_not_import_transformers() -> None:
    code = "import sys, models.detector.factory; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_channels_with_large_weights_are_copied() -> None:
    assert channel_copies(torch.tensor([1.0, 8.0, 2.0]), 5).tolist() == [1, 5, 2]
