"""Journal: whole lines of the same run are found again, and nothing else."""

from pathlib import Path

import pytest

from serve.batch.formats.records import Label
from serve.batch.journal import Journal
from serve.errors import InputFileError

CHUNKS: list[list[Label | None]] = [
    [Label("joy", 0.9, None), None],
    [],
    [Label("fear", 0.5, "self-harm")],
]


def written(path: Path) -> Path:
    journal = Journal(path, "run")
    for labels in CHUNKS:
        journal.append(labels)
    journal.close(keep=True)
    return path


def found(path: Path, identity: str = "run") -> list[list[Label | None]]:
    journal = Journal(path, identity)
    labels = list(journal.labels())
    assert len(labels) == journal.chunks
    journal.close(keep=True)
    return labels


def test_labels_are_found_again(tmp_path: Path) -> None:
    assert found(written(tmp_path / "j")) == CHUNKS


def test_labels_of_another_run_are_discarded(tmp_path: Path) -> None:
    journal = Journal(written(tmp_path / "j"), "other")
    assert journal.chunks == 0
    journal.append(CHUNKS[0])
    journal.close(keep=True)
    assert found(tmp_path / "j", "other") == CHUNKS[:1]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_line_that_was_being_written_is_dropped(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "j")
    path.write_bytes(path.read_bytes()[:-cut])
    journal = Journal(path, "run")
    assert journal.chunks == 2
    journal.append(CHUNKS[2])
    journal.close(keep=True)
    assert found(path) == CHUNKS


def test_second_run_on_the_same_output_is_refused(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j", "run")
    with pytest.raises(InputFileError, match="another run"):
        Journal(tmp_path / "j", "run")
    first.close(keep=False)
    assert not (tmp_path / "j").exists()


def test_journal_without_labels_is_deleted(tmp_path: Path) -> None:
    Journal(tmp_path / "j", "run").close(keep=True)
    assert not (tmp_path / "j").exists()
