"""`python -m models verify`: one line for each artifact, and a status."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models import __main__ as command
from models.manifest import ADAPTER_WEIGHTS, ARTIFACTS, MANIFEST_FILE
from models.store import verify as verify_module
from models.store.adapter_store import PARTIAL, default_store, store_name
from models.store.verify import Finding, verify_folder
from support.adapters import adapter, write_adapter


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Artifacts of their own, and an empty cache."""
    monkeypatch.setenv("FYE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "artifacts"
    write_adapter(folder / "adapters" / "joy", "joy")
    shutil.copytree(ARTIFACTS / "detectors" / "gemma-3-270m", folder / "detectors" / "gemma")
    monkeypatch.setattr(verify_module, "ARTIFACTS", folder)
    return folder


def run(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(command.app, ["verify", *arguments])
    return result.exit_code, result.output.splitlines()


def test_intact_artifacts_are_listed(artifacts: Path) -> None:
    status, lines = run()
    assert status == 0
    assert [line.split()[:2] for line in lines] == [
        ["ok", "artifacts/adapters/joy"],
        ["ok", "artifacts/detectors/gemma"],
    ]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("adapters/joy/adapter_model.safetensors", b"short", "content hash"),
        ("adapters/joy/adapter_config.json", b"{", "joy: "),
        ("adapters/joy/manifest.json", b"{}", "the manifest is invalid"),
        ("adapters/joy/manifest.json", b"\xff", "the manifest cannot be read"),
        ("detectors/gemma/model.safetensors", b"short", "sha256"),
    ],
)
def test_damage_is_one_line_and_the_status(
    artifacts: Path, file: str, content: bytes, reason: str
) -> None:
    (artifacts / file).write_bytes(content)
    status, lines = run()
    assert status == 1
    [line] = [line for line in lines if line.startswith("DAMAGED")]
    assert str(Path("artifacts", file).parent) in line
    assert reason in line
    assert len(lines) == 2


def test_missing_weights_are_damage(artifacts: Path) -> None:
    (artifacts / "detectors" / "gemma" / "model.safetensors").unlink()
    (artifacts / "adapters" / "joy" / ADAPTER_WEIGHTS).unlink()
    status, lines = run()
    assert status == 1
    assert len([line for line in lines if line.startswith("DAMAGED")]) == 2


def test_stored_versions_and_conversions_are_checked(artifacts: Path) -> None:
    name = store_name(adapter("calm").manifest)
    write_adapter(default_store() / name, "calm")  # with another content hash
    shutil.copytree(default_store() / name, default_store() / PARTIAL)
    (default_store().parent / "detector-int8-0.safetensors").write_bytes(b"")
    status, lines = run()
    assert status == 1
    assert [line for line in lines if line.startswith("DAMAGED")] == [
        f"DAMAGED  adapter-store/{name}: the manifest differs from the one that was stored; "
        "publish it again",
        "DAMAGED  detector-int8-0.safetensors: has no recorded sha256; it is made again when it is"
        " used",
    ]


def test_further_folders_are_checked(artifacts: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path / "runs" / "fear", "fear")
    assert run(str(tmp_path / "runs"))[1][-1].startswith("ok       runs/fear fear@")
    manifest = tmp_path / "runs" / "fear" / MANIFEST_FILE
    changed = json.loads(manifest.read_text()) | {"rank": 4}
    manifest.write_text(json.dumps(changed))
    assert run(str(tmp_path / "runs"))[0] == 1


def test_every_shipped_artifact_is_intact() -> None:
    found = list(verify_folder(ARTIFACTS))
    assert len(found) >= 10
    assert [one for one in found if one != Finding(one.name)] == []
