"""Fitting of the harm probe: data, threshold and exported weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.detector.harm import CATEGORIES, HARM_WEIGHTS, Category, HarmManifest
from models.detector.harm_probe import HarmProbe
from models.hashing import file_sha256
from training.detector.harm_data import Row, load_rows, without_near_duplicates
from training.detector.harm_probe import (
    FALSE_ALARMS,
    choose_threshold,
    make_regression,
    write_manifest,
    write_weights,
)

DETECTOR = "d" * 64
Features = tuple[np.ndarray, np.ndarray]  # features (rows, 4) and labels (rows,)


@pytest.fixture
def features() -> Features:
    """Three groups that overlap a little, far from unit scale."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [400, 60, 60])
    centres = np.array([[0, 0, 50, 3], [2, 0, 50, 3], [0, 2, 50, 3]])
    noise = random.normal(size=(520, 4)) * np.array([1, 1, 20, 0.1])
    return centres[labels] + noise, labels


def test_exported_weights_include_the_scaling(tmp_path: Path, features: Features) -> None:
    x, labels = features
    model = make_regression().fit(x, labels)
    write_weights(model, tmp_path)
    manifest = HarmManifest(
        content_hash=file_sha256(tmp_path / HARM_WEIGHTS),
        detector_hash=DETECTOR,
        training_data_hash="0" * 64,
        threshold=0.5,
        metrics={},
    )
    write_manifest(manifest, tmp_path)
    found = HarmProbe(tmp_path, DETECTOR).probabilities(torch.from_numpy(x).float())
    assert np.allclose(found.numpy(), model.predict_proba(x), atol=1e-4)


def test_threshold_flags_the_chosen_share_of_ordinary_messages(features: Features) -> None:
    x, labels = features
    ordinary_last = np.argsort(-labels, kind="stable")
    threshold = choose_threshold(x[ordinary_last], labels[ordinary_last], ordinary_from=120)
    harmless = make_regression().fit(x, labels).predict_proba(x[labels == 0])[:, 0]
    assert 0 < (harmless < threshold).mean() < 3 * FALSE_ALARMS


def test_shipped_messages_cover_all_categories_without_duplicates() -> None:
    train = load_rows("harm.jsonl")
    test = load_rows("harm_test.jsonl")
    for rows in (train, test):
        assert {row.category for row in rows} == set(CATEGORIES)
        assert len({row.text for row in rows}) == len(rows)
    kept = {row.text for row in without_near_duplicates(train, test)}
    assert not kept & {row.text for row in test}


def test_near_duplicates_of_test_messages_are_left_out() -> None:
    test = [Row("I don't want to be here any more, honestly.", Category.SELF_HARM)]
    duplicate = Row("i DON'T want to be here any more -- honestly", Category.SELF_HARM)
    other = Row("The bus was late.", None)
    assert without_near_duplicates([duplicate, other], test) == [other]
