"""The shipped detectors are as good as the README says."""

import os
from pathlib import Path

import pytest
import torch

from models.classifier import Classifier
from models.harm_probe import HarmProbe
from models.manifest import ARTIFACTS
from training.detector_report import on_set
from training.evaluate import shipped_detectors
from training.harm import rows
from training.mix import evaluation_sets

DATA = os.environ.get("FYE_DATA")
FLOORS = {
    "mpnet-base": {"emotion_test": 0.92, "goemotions_dev_strict": 0.84, "ordinary_fresh": 0.93},
    "gemma-3-270m": {"emotion_test": 0.885, "goemotions_dev_strict": 0.72, "ordinary_fresh": 0.82},
}


@pytest.mark.skipif(DATA is None, reason="measures on public sets that are not in the repository: set FYE_DATA to their folder")
@pytest.mark.parametrize("folder", shipped_detectors(), ids=lambda folder: folder.name)
def test_a_shipped_detector_reaches_its_scores(folder: Path) -> None:
    sets, classifier = evaluation_sets(Path(DATA or "")), Classifier(folder)
    measured = {name: on_set(classifier, sets[name]).accuracy.value for name in FLOORS[folder.name]}
    assert {name: measured[name] for name, floor in FLOORS[folder.name].items() if measured[name] < floor} == {}


@pytest.mark.parametrize(("name", "precision", "recall"), [("mpnet-base", 0.75, 0.75), ("gemma-3-270m", 0.65, 0.35)])
def test_a_shipped_probe_finds_messages_of_harm(name: str, precision: float, recall: float) -> None:
    classifier = Classifier(ARTIFACTS / "detectors" / name)
    test = rows("harm_test.jsonl")
    probe = HarmProbe(ARTIFACTS / "detectors" / name, classifier.manifest.content_hash)
    found = probe.categories(torch.from_numpy(classifier.all_features([row.text for row in test])))
    right = sum(row.category is not None and flag is not None for row, flag in zip(test, found, strict=True))
    assert right / sum(flag is not None for flag in found) >= precision
    assert right / sum(row.category is not None for row in test) >= recall
