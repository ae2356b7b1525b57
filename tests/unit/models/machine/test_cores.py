"""Usable cores: the affinity, limited by the CPU quota of any control group above the process."""

from pathlib import Path

import pytest

from models.machine import cores
from models.machine.cores import cpu_quota, usable_cores


def groups(root: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write the files of a control-group file system, and the groups of a process."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "membership").write_text(membership)
    return root, root / "membership"


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/pod/one\n", {"pod/cpu.max": "150000 100000\n", "pod/one/cpu.max": "max 100000"}, 1.5),
        ("0::/pod/one\n", {"pod/cpu.max": "400000 100000", "pod/one/cpu.max": "50000 100000"}, 0.5),
        ("0::/\n", {}, None),
        (
            "4:memory:/a\n1:cpu,cpuacct:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "300000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "1:cpu:/host/path\n",
            {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            1,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
    ids=["v2", "none", "of the parent", "smallest", "no files", "v1", "v1, own root", "v1, none"],
)
def test_finds_the_quota_of_both_versions(
    tmp_path: Path, membership: str, files: dict[str, str], quota: float | None
) -> None:
    assert cpu_quota(*groups(tmp_path, membership, files)) == quota


def test_there_is_no_quota_without_control_groups(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path, tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("quota", "usable"), [(None, 64), (2.0, 2), (2.9, 2), (0.5, 1), (99.0, 64)]
)
def test_the_quota_limits_the_cores(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, usable: int
) -> None:
    monkeypatch.setattr(cores, "affinity", lambda: list(range(64)))
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    assert usable_cores() == usable
