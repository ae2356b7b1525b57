"""The manifest of a detector."""

import json
from pathlib import Path

import pytest

from models.emotions import LABELS
from models.errors import ManifestError
from models.manifest import DetectorManifest


def manifest() -> DetectorManifest:
    hashes = {"content_hash": "a" * 64, "base_hash": "b" * 64, "training_data_hash": "c" * 64}
    return DetectorManifest.model_validate({"base": "tiny", "max_tokens": 128, "temperature": 1.2, "metrics": {"accuracy": 0.9}, **hashes})


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest().write(tmp_path)
    assert DetectorManifest.read(tmp_path) == manifest()
    assert manifest().labels == LABELS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("labels", list(reversed(LABELS))),
        ("labels", ["joy"]),
        ("temperature", 0),
        ("max_tokens", 0),
        ("kind", "adapter"),
        ("mood", "sunny"),
    ],
)
def test_an_untruth_is_refused_by_name(tmp_path: Path, field: str, value: object) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest().model_dump(mode="json"), field: value}))
    with pytest.raises(ManifestError, match=field):
        DetectorManifest.read(tmp_path)
