"""Shipped detectors: as accurate as the README states, in int8 as in floating point."""

import os
from pathlib import Path

import pytest
import torch

from models.detector.factory import open_classifier
from models.detector.int8.cache import has_int8_dot_product
from models.detector.int8.classifier import Int8Classifier
from models.detector.transformer import TransformerClassifier
from models.manifest import ARTIFACTS
from training.datasets.mixture import evaluation_sets
from training.datasets.sources import load_emoji, load_englishes, load_fresh
from training.evaluation.detector import measure_set
from training.evaluation.evaluate import shipped_detectors

DETECTORS = ARTIFACTS / "detectors"
DATA = os.environ.get("FYE_DATA")
MIN_PUBLIC_ACCURACY = {
    "minilm-l6": {"emotion_test": 0.91, "goemotions_dev_strict": 0.81},
    "mpnet-base": {"emotion_test": 0.92, "goemotions_dev_strict": 0.84},
    "gemma-3-270m": {"emotion_test": 0.885, "goemotions_dev_strict": 0.72},
}
OWN_SETS = {"ordinary_fresh": load_fresh, "ordinary_englishes": load_englishes, "emoji": load_emoji}
MIN_OWN_ACCURACY = {
    "minilm-l6": {"ordinary_fresh": 0.93, "ordinary_englishes": 0.89, "emoji": 0.93},
    "mpnet-base": {"ordinary_fresh": 0.93},
    "gemma-3-270m": {"ordinary_fresh": 0.82},
}
EACH = pytest.mark.parametrize("folder", shipped_detectors(), ids=lambda folder: folder.name)


@pytest.mark.skipif(DATA is None, reason="needs the public data sets: set FYE_DATA to their folder")
@EACH
def test_accuracy_of_shipped_detector_on_public_sets(folder: Path) -> None:
    sets = evaluation_sets(Path(DATA or ""))
    classifier = open_classifier(folder)
    for name, minimum in MIN_PUBLIC_ACCURACY[folder.name].items():
        assert measure_set(classifier, sets[name]).accuracy.value >= minimum, name


@EACH
def test_accuracy_of_shipped_detector_on_sets_of_the_project(folder: Path) -> None:
    classifier = open_classifier(folder)
    for name, minimum in MIN_OWN_ACCURACY[folder.name].items():
        assert measure_set(classifier, OWN_SETS[name]()).accuracy.value >= minimum, name


@pytest.mark.skipif(not has_int8_dot_product(), reason="the CPU has no int8 dot product")
def test_int8_agrees_with_floating_point() -> None:
    folder = DETECTORS / "mpnet-base"
    texts = [example.text for example in load_fresh()]
    exact_logits = TransformerClassifier(folder, torch.float32).all_logits(texts)
    int8_logits = Int8Classifier(folder).all_logits(texts)
    assert (exact_logits - int8_logits).abs().mean() < 0.07
    same_emotion = exact_logits.argmax(-1) == int8_logits.argmax(-1)
    assert same_emotion.float().mean() > 0.98
