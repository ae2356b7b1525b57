"""The shipped detectors are as good as the README says."""

import os
from pathlib import Path

import pytest
import torch

from models.detector.base import TextClassifier
from models.detector.factory import open_classifier
from models.detector.harm_probe import HarmProbe
from models.detector.int8.cache import has_int8_dot_product
from models.detector.int8.classifier import Int8Classifier
from models.detector.transformer import TransformerClassifier
from models.manifest import ARTIFACTS
from training.datasets.mixture import evaluation_sets
from training.datasets.sources import fresh
from training.detector.harm_probe import rows
from training.evaluation.detector import on_set
from training.evaluation.evaluate import shipped_detectors

DATA = os.environ.get("FYE_DATA")
FLOORS = {
    "mpnet-base": {"emotion_test": 0.92, "goemotions_dev_strict": 0.84, "ordinary_fresh": 0.93},
    "gemma-3-270m": {"emotion_test": 0.885, "goemotions_dev_strict": 0.72, "ordinary_fresh": 0.82},
}


@pytest.mark.skipif(DATA is None, reason="measures on public sets that are not in the repository: set FYE_DATA to their folder")
@pytest.mark.parametrize("folder", shipped_detectors(), ids=lambda folder: folder.name)
def test_a_shipped_detector_reaches_its_scores(folder: Path) -> None:
    sets, classifier = evaluation_sets(Path(DATA or "")), open_classifier(folder)
    measured = {name: on_set(classifier, sets[name]).accuracy.value for name in FLOORS[folder.name]}
    assert {name: measured[name] for name, floor in FLOORS[folder.name].items() if measured[name] < floor} == {}


@pytest.mark.parametrize(("name", "precision", "recall"), [("mpnet-base", 0.75, 0.75), ("gemma-3-270m", 0.65, 0.35)])
def test_a_shipped_probe_finds_messages_of_harm(name: str, precision: float, recall: float) -> None:
    classifier = open_classifier(ARTIFACTS / "detectors" / name)
    test = rows("harm_test.jsonl")
    probe = HarmProbe(ARTIFACTS / "detectors" / name, classifier.manifest.content_hash)
    found = probe.categories(torch.from_numpy(classifier.all_features([row.text for row in test])))
    right = sum(row.category is not None and flag is not None for row, flag in zip(test, found, strict=True))
    assert right / sum(flag is not None for flag in found) >= precision
    assert right / sum(row.category is not None for row in test) >= recall


@pytest.mark.skipif(not has_int8_dot_product(), reason="this processor would overflow")
def test_8_bit_integers_say_what_floating_point_says() -> None:
    folder, texts = (
        ARTIFACTS / "detectors" / "mpnet-base",
        [row.text for row in fresh()] + [row.text for row in rows("harm_test.jsonl")[:100]],
    )

    def read(classifier: TextClassifier) -> tuple[torch.Tensor, list[object]]:
        probe = HarmProbe(folder, classifier.manifest.content_hash)
        return classifier.all_logits(texts), list(probe.categories(torch.from_numpy(classifier.all_features(texts))))

    (exact, harms), (found, found_harms) = read(TransformerClassifier(folder, torch.float32)), read(Int8Classifier(folder))
    assert (exact - found).abs().mean() < 0.07
    assert (exact.argmax(-1) == found.argmax(-1)).float().mean() > 0.98
    assert sum(one == other for one, other in zip(harms, found_harms, strict=True)) / len(texts) > 0.97
