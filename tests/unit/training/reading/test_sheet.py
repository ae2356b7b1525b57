"""The sheet that readers get: no system's name on it, and a key that finds the system again."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from models.emotions import LABELS
from training.errors import ReadingError
from training.reading.sheet import (
    DrawnAnswer,
    read_answers,
    read_key,
    write_answers,
    write_sheet,
)


def answers(system: str, per_persona: int = 3) -> list[DrawnAnswer]:
    return [
        DrawnAnswer(persona=persona, message=f"m{number}", answer=f'{system}, "{number}"\nor so')
        for persona in LABELS
        for number in range(per_persona)
    ]


def read_rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_answers_survive_their_file(tmp_path: Path) -> None:
    write_answers(answers("a"), tmp_path / "new" / "answers.jsonl")
    assert read_answers(tmp_path / "new" / "answers.jsonl") == answers("a")


def test_sheet_and_key_hold_every_answer_once(tmp_path: Path) -> None:
    systems = {"first": answers("one"), "second": answers("two")}
    sheet, key_file = write_sheet(systems, tmp_path, None, 0)
    rows, key = read_rows(sheet), read_key(key_file)
    found = {
        name: [
            (row["persona"], row["message"], row["answer"])
            for row in rows
            if key[row["id"]].system == name
        ]
        for name in systems
    }
    for name, drawn in systems.items():
        expected = [(each.persona, each.message, each.answer) for each in drawn]
        assert sorted(found[name]) == sorted(expected)
    assert [row["id"] for row in rows] == [str(number) for number in range(1, 37)]
    assert all(row["persona"] == key[row["id"]].persona for row in rows)
    assert {row["mark"] for row in rows} == {""}


def test_sheet_does_not_tell_the_system(tmp_path: Path) -> None:
    sheet, key_file = write_sheet({"alpha": answers("x"), "beta": answers("y")}, tmp_path, None, 3)
    assert "alpha" not in sheet.read_text("utf-8")
    systems = [row.system for row in read_key(key_file).values()]
    assert systems not in (["alpha"] * 18 + ["beta"] * 18, ["alpha", "beta"] * 18)


def test_seed_decides_the_order(tmp_path: Path) -> None:
    def order(seed: int) -> str:
        return write_sheet({"a": answers("a")}, tmp_path / "s", None, seed)[0].read_text("utf-8")

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_chosen_answers_are_spread_over_the_personas(tmp_path: Path) -> None:
    sheet, _ = write_sheet({"a": answers("a"), "b": answers("b")}, tmp_path, 12, 0)
    counts = Counter(row["persona"] for row in read_rows(sheet))
    assert counts == dict.fromkeys(LABELS, 4)


def test_rejects_a_system_with_too_few_answers(tmp_path: Path) -> None:
    with pytest.raises(ReadingError, match="18 answers, expected at least 19"):
        write_sheet({"a": answers("a")}, tmp_path, 19, 0)


@pytest.mark.parametrize("content", ['{"persona": "joy"}', "no json"])
def test_rejects_a_file_that_holds_no_answers(tmp_path: Path, content: str) -> None:
    (tmp_path / "answers.jsonl").write_text(content, "utf-8")
    with pytest.raises(ReadingError, match="cannot read answers"):
        read_answers(tmp_path / "answers.jsonl")
