"""The shipped detectors are as good as the README says."""

import os
from pathlib import Path

import pytest

from models.classifier import Classifier
from training.detector_report import on_set
from training.evaluate import shipped_detectors
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
