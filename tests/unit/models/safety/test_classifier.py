"""Safety classifier: the logits of training, 8-bit rows, and the worst of all windows."""

from pathlib import Path

import pytest
import torch

from models.errors import ManifestError
from models.manifest import Pooling, Thresholds
from models.prompt import Turn
from models.safety.classifier import SafetyClassifier, worst_finding
from models.safety.encoder import BertClassifier, EncoderShape
from models.safety.levels import CONCERN, CRISES, Finding
from models.safety.rows import quantize_rows, restore_rows
from training.safety.model import SafetyModel

pytestmark = pytest.mark.usefixtures("one_thread")
THRESHOLDS = Thresholds(crisis=0.6, concern=0.4)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_logits_are_those_of_the_model_that_is_trained(
    model: SafetyModel, pooling: Pooling
) -> None:
    model.pooling = pooling
    ids = torch.tensor([[2, 4, 5, 3], [2, 6, 3, 0]])
    types = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    shape = EncoderShape(2, 2, model.bert.config.layer_norm_eps, pooling)
    own = BertClassifier(model.state_dict(), shape)
    with torch.inference_mode():
        expected = model(ids, types, mask)["logits"]
        found = own(ids, types, mask.bool())
    assert expected.std() > 0.05
    assert torch.allclose(found, expected, atol=1e-5)


def test_rows_in_8_bits_are_within_half_a_step() -> None:
    torch.manual_seed(0)
    tensors = {
        "matrix": torch.randn(7, 33) * torch.logspace(-3, 3, 7)[:, None],
        "bias": torch.randn(5),
    }
    quantized = quantize_rows(tensors)
    restored = restore_rows(quantized, torch.float32)
    assert quantized["matrix"].dtype == torch.int8
    assert restored.keys() == tensors.keys()
    step = tensors["matrix"].abs().amax(1, keepdim=True) / 127
    assert ((restored["matrix"] - tensors["matrix"]).abs() <= step * 0.501).all()
    assert torch.equal(restored["bias"], tensors["bias"])


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([[0.9, 0.1, 0.0, 0.0]], None),
        ([[0.5, 0.5, 0.0, 0.0]], CONCERN),
        ([[0.5, 0.2, 0.2, 0.1]], CONCERN),  # either level together
        ([[0.3, 0.0, 0.5, 0.2]], CRISES[0]),  # both crises together
        ([[0.3, 0.0, 0.1, 0.6]], CRISES[1]),
        ([[0.9, 0.1, 0.0, 0.0], [0.1, 0.0, 0.8, 0.1], [0.5, 0.5, 0.0, 0.0]], CRISES[0]),
    ],
)
def test_finding_is_the_most_serious_of_all_windows(
    windows: list[list[float]], expected: Finding | None
) -> None:
    assert worst_finding(torch.tensor(windows), THRESHOLDS) == expected


def test_conversations_of_any_length_are_read(artifact: Path) -> None:
    classifier = SafetyClassifier(artifact)
    short = (Turn("user", "a b"),)
    long = (Turn("user", "a b c " * 200), Turn("assistant", "d"), Turn("user", "now"))
    endless = (Turn("user", "a " * 5000),)
    found = classifier.classify([short, long, endless, short])
    assert [each.complete for each in found] == [True, True, False, True]
    assert found[0] == found[3] == classifier.classify([short])[0]


def test_probabilities_do_not_depend_on_the_batch(artifact: Path) -> None:
    classifier = SafetyClassifier(artifact)
    texts = ["a", "b c d now", "c " * 60, "d b"]
    windows = [w for text in texts for w in classifier.encoder.encode([Turn("user", text)]).windows]
    alone = torch.cat([classifier.probabilities([window]) for window in windows])
    assert torch.allclose(classifier.probabilities(windows), alone, atol=1e-5)


@pytest.mark.parametrize("change", ["weights", "base"])
def test_changed_files_are_an_error(artifact: Path, base: Path, change: str) -> None:
    folder = artifact if change == "weights" else base
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ManifestError):
        SafetyClassifier(artifact)
