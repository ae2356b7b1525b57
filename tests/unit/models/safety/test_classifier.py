"""Safety classifier: the logits of training, 8-bit rows, and the worst of all windows."""

from pathlib import Path

import pytest
import torch

from models.encoder.rows import quantize_rows, restore_rows
from models.errors import ManifestError
from models.manifest import Thresholds
from models.prompt import Turn
from models.safety.classifier import SafetyClassifier, worst_finding
from models.safety.levels import CONCERN, CRISES, Finding
from training.safety.model import SafetyModel

pytestmark = pytest.mark.usefixtures("one_thread")
THRESHOLDS = Thresholds(crisis=0.6, concern=0.4)


def test_probabilities_are_those_of_the_model_that_is_trained(
    artifact: Path, model: SafetyModel
) -> None:
    exact = restore_rows(quantize_rows(model.trained_tensors()), torch.float32)
    model.load_state_dict(exact, strict=False)
    classifier = SafetyClassifier(artifact)
    texts = ["a b", "c", "d a c b now"]
    windows = [classifier.encoder.encode([Turn("user", text)]).windows[0] for text in texts]
    for window in windows:
        ids, types = torch.tensor([window.ids]), torch.tensor([window.types])
        with torch.inference_mode():
            logits = model(ids, types, torch.ones_like(ids))["logits"]
        found = classifier.probabilities([window])
        assert torch.allclose(found, torch.softmax(logits, -1), atol=0.01)


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
