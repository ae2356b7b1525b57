"""Shipped detectors: as accurate as the README states, in int8 as in floating point."""

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
from training.datasets.sources import load_fresh
from training.detector.harm_data import load_rows
from training.evaluation.detector import measure_set
from training.evaluation.evaluate import shipped_detectors

DETECTORS = ARTIFACTS / "detectors"
DATA = os.environ.get("FYE_DATA")
MIN_ACCURACY = {
    "mpnet-base": {"emotion_test": 0.92, "goemotions_dev_strict": 0.84, "ordinary_fresh": 0.93},
    "gemma-3-270m": {"emotion_test": 0.885, "goemotions_dev_strict": 0.72, "ordinary_fresh": 0.82},
}


def classify(
    classifier: TextClassifier, probe: HarmProbe, texts: list[str]
) -> tuple[torch.Tensor, list[object]]:
    features = torch.from_numpy(classifier.all_features(texts))
    return classifier.all_logits(texts), list(probe.categories(features))


@pytest.mark.skipif(DATA is None, reason="needs the public data sets: set FYE_DATA to their folder")
@pytest.mark.parametrize("folder", shipped_detectors(), ids=lambda folder: folder.name)
def test_accuracy_of_shipped_detector(folder: Path) -> None:
    sets = evaluation_sets(Path(DATA or ""))
    classifier = open_classifier(folder)
    for name, minimum in MIN_ACCURACY[folder.name].items():
        assert measure_set(classifier, sets[name]).accuracy.value >= minimum, name


@pytest.mark.parametrize(
    ("name", "precision", "recall"), [("mpnet-base", 0.75, 0.75), ("gemma-3-270m", 0.65, 0.35)]
)
def test_precision_and_recall_of_shipped_harm_probe(
    name: str, precision: float, recall: float
) -> None:
    classifier = open_classifier(DETECTORS / name)
    probe = HarmProbe(DETECTORS / name, classifier.manifest.content_hash)
    rows = load_rows("harm_test.jsonl")
    _, found = classify(classifier, probe, [row.text for row in rows])
    expected = [row.category for row in rows]
    flagged = sum(one is not None for one in found)
    harmful = sum(one is not None for one in expected)
    correct = sum(
        one is not None and other is not None for one, other in zip(expected, found, strict=True)
    )
    assert correct / flagged >= precision
    assert correct / harmful >= recall


@pytest.mark.skipif(not has_int8_dot_product(), reason="the CPU has no int8 dot product")
def test_int8_agrees_with_floating_point() -> None:
    folder = DETECTORS / "mpnet-base"
    harm_rows = load_rows("harm_test.jsonl")[:100]
    texts = [row.text for row in load_fresh()] + [row.text for row in harm_rows]
    exact = TransformerClassifier(folder, torch.float32)
    probe = HarmProbe(folder, exact.manifest.content_hash)
    exact_logits, exact_harms = classify(exact, probe, texts)
    int8_logits, int8_harms = classify(Int8Classifier(folder), probe, texts)
    assert (exact_logits - int8_logits).abs().mean() < 0.07
    same_emotion = exact_logits.argmax(-1) == int8_logits.argmax(-1)
    assert same_emotion.float().mean() > 0.98
    same_harm = [one == other for one, other in zip(exact_harms, int8_harms, strict=True)]
    assert sum(same_harm) / len(texts) > 0.97
