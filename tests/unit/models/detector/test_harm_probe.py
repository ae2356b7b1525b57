"""Harm probe: its categories, and the checks of its manifest."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.detector.harm import HARM_MANIFEST, HARM_WEIGHTS, Category, HarmManifest
from models.detector.harm_probe import HarmProbe
from models.errors import ManifestError
from models.hashing import file_sha256

DETECTOR = "d" * 64


def write_probe(folder: Path, threshold: float = 0.5) -> None:
    """Write a probe that has one feature for each category."""
    save_file({"weight": torch.eye(3), "bias": torch.zeros(3)}, folder / HARM_WEIGHTS)
    manifest = HarmManifest(
        content_hash=file_sha256(folder / HARM_WEIGHTS),
        detector_hash=DETECTOR,
        training_data_hash="0" * 64,
        threshold=threshold,
        metrics={},
    )
    (folder / HARM_MANIFEST).write_text(manifest.model_dump_json(), "utf-8")


@pytest.mark.parametrize(("threshold", "expected"), [(0.3, None), (0.5, Category.SELF_HARM)])
def test_flags_likeliest_category_below_threshold(
    tmp_path: Path, threshold: float, expected: Category | None
) -> None:
    write_probe(tmp_path, threshold)
    probe = HarmProbe(tmp_path, DETECTOR)
    features = torch.tensor([[2.0, 2.0, 0.0], [9.0, 0.0, 0.0], [0.0, 1.0, 9.0]])
    assert probe.categories(features) == [expected, None, Category.VIOLENCE]
    assert probe.probabilities(features).sum(-1).tolist() == pytest.approx([1, 1, 1])


def test_rejects_probe_of_another_detector(tmp_path: Path) -> None:
    write_probe(tmp_path)
    with pytest.raises(ManifestError, match="fitted for detector dddd"):
        HarmProbe(tmp_path, "e" * 64)


def test_rejects_modified_weights(tmp_path: Path) -> None:
    write_probe(tmp_path)
    content = bytearray((tmp_path / HARM_WEIGHTS).read_bytes())
    content[-1] ^= 1
    (tmp_path / HARM_WEIGHTS).write_bytes(content)
    with pytest.raises(ManifestError, match=HARM_WEIGHTS):
        HarmProbe(tmp_path, DETECTOR)


def test_error_for_missing_probe_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="python -m training harm"):
        HarmProbe(tmp_path, DETECTOR)
