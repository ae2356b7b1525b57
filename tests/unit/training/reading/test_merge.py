"""Marks of readers, merged by the key into shares of each system."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.emotions import Emotion
from training.__main__ import app
from training.datasets.read_labels import read_labels
from training.errors import ReadingError
from training.reading.merge import merge
from training.reading.sheet import read_answers

SYSTEMS = "aaaabbbb"
PERSONAS = ("joy", "fear") * 4


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key.csv"
    rows = zip(range(1, 9), SYSTEMS, PERSONAS, strict=True)
    lines = [f"{number},{system},{persona}" for number, system, persona in rows]
    file.write_text("\n".join(["id,system,persona", *lines]), "utf-8")
    return file


def write_marks(folder: Path, name: str, marks: str, order: int = 1) -> Path:
    """Write a reader's file, in reverse with `order` -1; a byte order mark as Excel writes it."""
    lines = [f"{number},{mark}" for number, mark in enumerate(marks, 1)][::order]
    file = folder / name
    file.write_text("\n".join(["id,mark", *lines]), "utf-8-sig")
    return file


def test_merges_three_readers_by_their_median(key: Path, tmp_path: Path) -> None:
    readers = [
        write_marks(tmp_path, "1.csv", "22100012"),
        write_marks(tmp_path, "2.csv", "21100002", order=-1),
        write_marks(tmp_path, "3.csv", "20010212"),
    ]
    result = merge(key, readers)
    first, second = result.systems["a"], result.systems["b"]
    assert (first.answers, first.sense.value, first.specific.value) == (4, 0.75, 0.25)
    assert (second.answers, second.sense.value, second.specific.value) == (4, 0.5, 0.25)
    assert first.sense_by_persona == {Emotion.JOY: 1.0, Emotion.FEAR: 0.5}
    assert first.sense.low == pytest.approx(0.3006, abs=1e-4)
    assert first.sense.high == pytest.approx(0.9544, abs=1e-4)
    assert result.fleiss is not None
    assert 0 < result.fleiss < 1
    assert len(result.cohen) == 3


def test_two_readers_who_disagree_give_the_lower_mark(key: Path, tmp_path: Path) -> None:
    readers = [
        write_marks(tmp_path, "1.csv", "20202020"),
        write_marks(tmp_path, "2.csv", "02222222"),
    ]
    assert merge(key, readers).systems["a"].specific.value == 0.25


def test_one_reader_has_no_agreement(key: Path, tmp_path: Path) -> None:
    result = merge(key, [write_marks(tmp_path, "1.csv", "21012101")])
    assert result.fleiss is None
    assert result.cohen == {}


@pytest.mark.parametrize("marks", ["2210001", "2210001x", "2210001 ", "221000122"])
def test_rejects_marks_that_do_not_fit_the_key(key: Path, tmp_path: Path, marks: str) -> None:
    with pytest.raises(ReadingError, match=r"no valid mark for id 8|id 9 is not in the key"):
        merge(key, [write_marks(tmp_path, "1.csv", marks)])


def test_rejects_a_line_that_ends_before_the_mark(key: Path, tmp_path: Path) -> None:
    file = write_marks(tmp_path, "1.csv", "2210001")
    file.write_text(file.read_text("utf-8-sig") + "\n8", "utf-8")
    with pytest.raises(ReadingError, match="no valid mark for id 8"):
        merge(key, [file])


def test_rejects_a_key_with_a_line_that_ends_early(key: Path, tmp_path: Path) -> None:
    readers = [write_marks(tmp_path, "1.csv", "22100012")]
    key.write_text(key.read_text("utf-8") + "\n9,a", "utf-8")
    with pytest.raises(ReadingError, match=r"use the key as .reading sheet. wrote it"):
        merge(key, readers)


def test_rejects_a_file_without_marks(key: Path) -> None:
    with pytest.raises(ReadingError, match="no column mark"):
        merge(key, [key])


def test_command_writes_sheet_and_result(tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    runner = CliRunner()
    drawn = runner.invoke(
        app, ["reading", "draw", str(answers), "--references", "--per-persona", "2"]
    )
    assert drawn.exit_code == 0, drawn.output
    folder = tmp_path / "sheet"
    arguments = ["reading", "sheet", f"written={answers}", "--out", str(folder), "--answers", "6"]
    assert runner.invoke(app, arguments).exit_code == 0
    lines = (folder / "sheet.csv").read_text("utf-8").splitlines()
    assert len(lines) == 7
    (folder / "sheet.csv").write_text("\n".join([lines[0], *(f"{x}2" for x in lines[1:])]), "utf-8")
    out = tmp_path / "reading.json"
    arguments = ["merge", str(folder / "key.csv"), str(folder / "sheet.csv"), "--out", str(out)]
    arguments += ["--labels", str(tmp_path / "labels.jsonl")]
    assert runner.invoke(app, ["reading", *arguments]).exit_code == 0
    assert '"written":{"answers":6,"sense":{"value":1.0' in "".join(out.read_text().split())
    labelled = read_labels([tmp_path / "labels.jsonl"])
    assert len(labelled) == 6
    assert {(each.answer, each.mark) for each in labelled} <= {
        (answer.answer, 2) for answer in read_answers(answers)
    }
