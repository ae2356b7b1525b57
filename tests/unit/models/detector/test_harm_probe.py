"""Messages that speak of harm: the probe, how it is fitted, and what is said instead of a persona's answer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.detector.harm import CATEGORIES, HARM_WEIGHTS, Category, HarmManifest
from models.detector.harm_probe import HarmProbe
from models.errors import ManifestError
from models.hashing import file_sha256
from serve.pipeline.safety import calm_answer, table
from training.detector import harm_probe
from training.detector.harm_probe import FALSE_ALARMS, Row, rows

DETECTOR = "d" * 64


def write_probe(folder: Path, threshold: float = 0.5, detector: str = DETECTOR) -> Path:
    """Looks at one feature for each category."""
    tensors = {"weight": torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]]), "bias": torch.zeros(3)}
    save_file(tensors, folder / HARM_WEIGHTS)
    digest = file_sha256(folder / HARM_WEIGHTS)
    manifest = HarmManifest(content_hash=digest, detector_hash=detector, training_data_hash="0" * 64, threshold=threshold, metrics={})
    harm_probe._save(manifest, folder)
    return folder


@pytest.mark.parametrize(("threshold", "found"), [(0.3, None), (0.5, Category.SELF_HARM)])
def test_what_is_not_likely_harmless_is_flagged_as_the_likelier(tmp_path: Path, threshold: float, found: Category | None) -> None:
    probe = HarmProbe(write_probe(tmp_path, threshold), DETECTOR)
    features = torch.tensor([[2.0, 2.0, 0.0], [9.0, 0.0, 0.0], [0.0, 1.0, 9.0]])
    assert probe.categories(features) == [found, None, Category.VIOLENCE]
    assert probe.probabilities(features).sum(-1).tolist() == pytest.approx([1, 1, 1])


def test_a_probe_of_another_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="another detector"):
        HarmProbe(write_probe(tmp_path), "e" * 64)


def test_a_probe_with_one_byte_changed_is_refused(tmp_path: Path) -> None:
    file = write_probe(tmp_path) / HARM_WEIGHTS
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ManifestError, match="not those of its manifest"):
        HarmProbe(tmp_path, DETECTOR)


def test_without_a_probe_the_error_says_how_to_fit_one(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="python -m training harm"):
        HarmProbe(tmp_path, DETECTOR)


@pytest.fixture
def cloud() -> tuple[np.ndarray, np.ndarray]:
    """Features of three groups that overlap a little, far from unit scale."""
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [400, 60, 60])
    centres = np.array([[0, 0, 50, 3], [2, 0, 50, 3], [0, 2, 50, 3]])
    return centres[labels] + draw.normal(size=(520, 4)) * np.array([1, 1, 20, 0.1]), labels


def test_the_scaling_is_folded_into_what_ships(tmp_path: Path, cloud: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = cloud
    model = harm_probe._model().fit(features, labels)
    write_probe(tmp_path)
    harm_probe._write(model, tmp_path)
    manifest = HarmManifest.read(tmp_path).model_copy(update={"content_hash": file_sha256(tmp_path / HARM_WEIGHTS)})
    harm_probe._save(manifest, tmp_path)
    found = HarmProbe(tmp_path, DETECTOR).probabilities(torch.from_numpy(features).float())
    assert np.allclose(found.numpy(), model.predict_proba(features), atol=1e-4)


def test_the_threshold_lets_that_many_ordinary_messages_be_flagged(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    features, labels = cloud
    order = np.argsort(-labels, kind="stable")  # ordinary ones last
    threshold = harm_probe._threshold(features[order], labels[order], ordinary_from=120)
    harmless = harm_probe._model().fit(features, labels).predict_proba(features[labels == 0])[:, 0]
    assert 0 < (harmless < threshold).mean() < 3 * FALSE_ALARMS


def test_the_shipped_messages_are_labelled_and_told_apart() -> None:
    own, test = rows("harm.jsonl"), rows("harm_test.jsonl")
    for found in (own, test):
        assert {row.category for row in found} == set(CATEGORIES)
        assert len({row.text for row in found}) == len(found)
    assert not {row.text for row in harm_probe._unlike(own, test)} & {row.text for row in test}


def test_what_is_like_a_test_message_is_not_trained_on() -> None:
    test = [Row("I don't want to be here any more, honestly.", Category.SELF_HARM)]
    same, other = Row("i DON'T want to be here any more -- honestly", Category.SELF_HARM), Row("The bus was late.", None)
    assert harm_probe._unlike([same, other], test) == [other]


@pytest.mark.parametrize("category", list(Category))
@pytest.mark.parametrize("region", [*table().regions, None, "XX", "gb"])
def test_a_calm_answer_names_somebody_who_can_be_reached(category: Category, region: str | None) -> None:
    answer = calm_answer(category, region)
    here = table().regions.get((region or "").upper())
    assert "findahelpline.com" in answer
    assert "{" not in answer
    if here:
        assert str(here.emergency) in answer
        assert all(f"{line.name}: {line.reach}" in answer for line in here.lines)


def test_every_line_of_help_has_its_source() -> None:
    care = table()
    lines = [line for region in [care.everywhere, *care.regions.values()] for line in region.lines]
    assert all(line.source.startswith("https://") for line in lines)
    assert set(care.words) == {*Category, "emergency", "emergency_unknown"}
