"""Whole files: every row comes back in its place with its labels, and a file that will not do is refused by name."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from serve.config import DetectorConfig
from serve.detector.batch_job import ADDED, BLOCK, Labeller, read_sorted
from serve.detector.scripted import ScriptedClassifier
from support.server_process import ROOT

SUFFIXES = (".jsonl", ".csv", ".parquet")
WORDS = ("such sadness", "so much joy and more of it", "love", "what an anger that is", "fear", "a surprise")


class Counting(ScriptedClassifier):
    """Keeps the lengths of what it read at once."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def read(self, texts: list[str]) -> list:  # type: ignore[type-arg]
        self.batches.append([len(text) for text in texts])
        return super().read(texts)


def write(file: Path, rows: dict[str, Sequence[object]]) -> Path:
    import pandas as pd

    frame = pd.DataFrame(rows)
    if file.suffix == ".jsonl":
        frame.to_json(file, orient="records", lines=True)
    elif file.suffix == ".csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_parquet(file)
    return file


def read(file: Path):  # type: ignore[no-untyped-def]
    import pandas as pd

    if file.suffix == ".jsonl":
        return pd.read_json(file, lines=True)
    return pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)


def detect(source: Path, out: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "serve", "detect", str(source), "--out", str(out), "--scripted", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_row_comes_back_in_its_place_with_its_labels(tmp_path: Path, suffix: str) -> None:
    many = BLOCK + 100
    texts = [f"{number} {WORDS[number % 6]}" for number in range(many)]
    source = write(tmp_path / f"in{suffix}", {"id": range(many), "said": texts})
    done = detect(source, tmp_path / f"out{suffix}", "--column", "said", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert f"{many} rows" in done.stderr
    found = read(tmp_path / f"out{suffix}")
    assert list(found["id"]) == list(range(many))
    assert list(found["said"]) == texts
    assert list(found[ADDED[0]][:6]) == ["sadness", "joy", "love", "anger", "fear", "surprise"]
    assert set(found[ADDED[1]]) == {0.9}
    assert [file.name for file in tmp_path.iterdir() if "part" in file.name] == []


def test_texts_of_like_length_are_read_together_and_nothing_is_read_of_no_text() -> None:
    reader = Counting()
    readings = read_sorted(reader, ["x" * 9, None, "x", "", "x" * 8, "xx", "self-harm"], 2)
    assert reader.batches == [[1, 2], [8, 9], [9]]
    assert [reading is None for reading in readings] == [False, True, False, True, False, False, False]
    assert readings[6] is not None
    assert readings[6].harm == "self-harm"


def test_a_block_without_rows_gets_its_columns() -> None:
    import pyarrow as pa

    block = Labeller(DetectorConfig(kind="scripted"), "text")(pa.table({"text": pa.array([], pa.string())}))
    assert (block.num_rows, block.column_names) == (0, ["text", *ADDED])


@pytest.mark.parametrize(
    ("name", "rows", "says"),
    [
        ("in.jsonl", {"said": ["joy"]}, "no column 'text'; it has said"),
        ("in.csv", {"text": ["joy"], ADDED[1]: [1]}, f"it has {ADDED[1]} already"),
        ("in.csv", {"text": []}, "in.csv: it has no rows"),
        ("in.parquet", {"text": [1, 2]}, "the column 'text' holds int64, not texts"),
        ("in.txt", {"text": ["joy"]}, "must end with one of .jsonl, .csv, .parquet"),
    ],
)
def test_a_file_that_will_not_do_is_refused_by_name(tmp_path: Path, name: str, rows: dict[str, Sequence[object]], says: str) -> None:
    source = tmp_path / name
    if source.suffix == ".txt":
        source.write_text("joy")
    else:
        write(source, rows)
    done = detect(source, tmp_path / "out.csv")
    assert done.returncode == 1
    assert says in " ".join(done.stderr.split())
    assert not (tmp_path / "out.csv").exists()


def test_a_kind_of_output_that_nobody_knows_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    done = detect(write(tmp_path / "in.csv", {"text": ["joy"]}), tmp_path / "out.xlsx")
    assert done.returncode == 1
    assert "out.xlsx: its name must end with one of .jsonl, .csv, .parquet" in " ".join(done.stderr.split())
    assert not (tmp_path / "out.xlsx").exists()
