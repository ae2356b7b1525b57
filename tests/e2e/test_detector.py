"""The shipped detector is as good as its README says."""

import os
from pathlib import Path

import pytest

from training.evaluate import evaluate_detector

DATA = os.environ.get("FYE_DATA")


@pytest.mark.skipif(DATA is None, reason="measures on public sets that are not in the repository: set FYE_DATA to their folder")
def test_the_shipped_detector_reaches_its_scores() -> None:
    report = evaluate_detector(None, Path(DATA or ""))
    assert report["emotion_test"]["accuracy"] >= 0.92
    assert report["emotion_test"]["macro_f1"] >= 0.88
    assert report["goemotions_dev_strict"]["macro_f1"] >= 0.78
