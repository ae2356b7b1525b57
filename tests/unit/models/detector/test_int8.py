"""A detector in 8-bit integers says what the one in floating point says, and is converted once."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.detector.factory import open_classifier
from models.detector.int8 import cache
from models.detector.int8.cache import int8_weights, supports_int8
from models.detector.int8.classifier import Int8Classifier
from models.detector.int8.convert import _times
from models.detector.transformer import TransformerClassifier
from models.hashing import file_sha256
from models.weights.cache import materialize
from support.tiny_models import tiny_bert, tiny_mpnet
from training.detector.export import export
from training.detector.train import trainable_model
from training.recipe import DetectorRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["hello", "a longer text than the other one, to be padded to", "é!", "x" * 200]


@pytest.fixture
def artefact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny MPNet detector of random weights, one of whose channels reaches far beyond the others, in a cache of its own."""
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
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that multiplies bytes."""
    monkeypatch.setattr(cache, "has_int8_dot_product", lambda: True)


@pytest.mark.skipif(not cache.has_int8_dot_product(), reason="this processor would overflow")
def test_both_results_are_those_of_floating_point(artefact: Path) -> None:
    logits, features = TransformerClassifier(artefact, torch.float32).forward(TEXTS)
    found_logits, found_features = Int8Classifier(artefact).forward(TEXTS)
    assert found_logits.dtype == found_features.dtype == torch.float32
    assert logits.std() > 0.05
    assert (found_logits - logits).abs().max() < 0.05 * logits.abs().max()
    assert (found_features - features).norm() < 0.05 * features.norm()


@pytest.mark.skipif(not cache.has_int8_dot_product(), reason="this processor would overflow")
def test_a_text_is_read_alone_as_it_is_in_a_batch(artefact: Path) -> None:
    classifier = Int8Classifier(artefact)
    together = classifier.logits(TEXTS)
    assert torch.allclose(together, torch.cat([classifier.logits([text]) for text in TEXTS]), atol=1e-3)


def test_it_is_converted_once(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    file = int8_weights(artefact, said.append)
    digest = file_sha256(file)
    assert int8_weights(artefact, said.append) == file
    assert len(said) == 1
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    other = int8_weights(artefact, said.append)
    assert other != file
    assert file_sha256(other) == digest


def test_what_is_no_mpnet_stays_in_floating_point(tmp_path: Path, capable: None) -> None:
    base = materialize(str(tiny_bert(tmp_path / "base")))
    recipe = DetectorRecipe(base=base.name)
    export(trainable_model(recipe, base.folder), base, recipe, "c" * 64, tmp_path / "artifact")
    assert not supports_int8(tmp_path / "artifact")
    assert isinstance(open_classifier(tmp_path / "artifact"), TransformerClassifier)


def test_the_processor_and_one_word_decide(artefact: Path, capable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(open_classifier(artefact), Int8Classifier)
    assert isinstance(open_classifier(artefact, precision="bf16"), TransformerClassifier)
    monkeypatch.setattr(cache, "has_int8_dot_product", lambda: False)
    assert isinstance(open_classifier(artefact), TransformerClassifier)


def test_transformers_is_not_imported_for_integers() -> None:
    """In a process of its own: it would be most of the detector's start, and a third of its memory."""
    code = "import sys, models.detector.int8.classifier; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_heaviest_columns_are_repeated() -> None:
    assert _times(torch.tensor([1.0, 8.0, 2.0]), 5).tolist() == [1, 5, 2]
