"""The command `detect` in a process of its own, with Ray: rows, labels, statuses and leftovers."""

import csv
import gzip
import hashlib
import io
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve.batch.formats.records import ADDED_COLUMNS
from support.batch_files import strip_csv, strip_json
from support.server_process import ROOT

WORDS = ("such sadness", "so much joy", "love", "what an anger", "fear", "a surprise", "", "42")
GOOD = b'{"text": "joy"}\n'


def command(*arguments: object) -> list[str]:
    words = [str(argument) for argument in arguments]
    return [sys.executable, "-m", "serve", "detect", *words, "--scripted"]


def detect(*arguments: object, stdin: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
    done = subprocess.run(
        command(*arguments), cwd=ROOT, input=stdin, capture_output=True, timeout=500
    )
    assert b"Traceback" not in done.stderr
    assert b"ray::" not in done.stderr
    return done


def mixed_rows(count: int) -> bytes:
    """Write objects of mixed types by hand, so that no library decides how they look."""
    draw = random.Random(7)
    values = (
        '"00501"',
        '"+358401234567"',
        "1234567890123456789",
        "null",
        "true",
        "1700000000",
        '"2024-01-05"',
        "1e400",
        "-0.0",
        "1.50",
        '"\\u00e9\\ud83d\\ude00 \u2028"',
        '{"a": [1, {"b": null}]}',
        "[]",
        "123456789012345678901234567890",
    )
    lines = []
    for number in range(count):
        space = draw.choice(("", " "))
        fields = [f'"f{index}":{space}{draw.choice(values)}' for index in range(draw.randrange(6))]
        fields.append(f'"id":{number}')
        text = json.dumps(f"{draw.choice(WORDS)} {number % 97}", ensure_ascii=False)
        fields.insert(draw.randrange(len(fields)), f'"text":{space}{text}')
        lines.append("{" + f",{space}".join(fields) + "}" + draw.choice(("\n", "\n", "\r\n")))
    return "".join(lines).encode()


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_200_000_rows_of_mixed_types_come_back_byte_for_byte(tmp_path: Path) -> None:
    data = mixed_rows(200_000)
    (tmp_path / "in.jsonl").write_bytes(data)
    done = detect(tmp_path / "in.jsonl", "--workers", 2)
    assert done.returncode == 0, done.stderr
    out = (tmp_path / "in.labelled.jsonl").read_bytes()
    assert hashlib.sha256(strip_json(out)).digest() == hashlib.sha256(data).digest()
    assert out.count(b'"detected_emotion": "') == 200_000
    assert b"200,000 rows" in done.stderr
    assert leftovers(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 2


def test_files_of_every_format_in_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [[f"{number:05}", f"{WORDS[number % 6]}", "x;y"] for number in range(3000)]
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=";").writerows([["id", "text", "more"], *rows])
    wide = stream.getvalue().encode("utf-16")
    plain = GOOD * 2000
    table = pa.table({"id": [row[0] for row in rows], "text": [row[1] for row in rows]})
    (folder / "EXPORT.CSV").write_bytes(wide)
    (folder / "a.jsonl").write_bytes(plain)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(plain))
    with pa.CompressedOutputStream(str(folder / "c.csv.zst"), "zstd") as compressed:
        compressed.write(b"text\njoy\n")
    (folder / "d.ndjson").write_bytes(b"")
    (folder / "e.csv").write_bytes(b"id,text\n")
    pq.write_table(table, folder / "f.parquet")
    (folder / "g.csv").write_bytes(b"id,body\n1,joy\n")
    (folder / "h.jsonl").write_bytes(GOOD + b"broken\n" + GOOD)

    done = detect(folder / "*", "--out", tmp_path / "out")

    assert done.returncode == 1
    said = done.stderr.decode()
    assert "g.csv: no column 'text'" in said
    out = tmp_path / "out"
    labelled = (out / "EXPORT.labelled.CSV").read_bytes()
    assert strip_csv(labelled.decode("utf-16").encode(), b";") == stream.getvalue().encode()
    assert strip_json((out / "a.labelled.jsonl").read_bytes()) == plain
    assert strip_json(gzip.decompress((out / "b.labelled.jsonl.gz").read_bytes())) == plain
    with pa.input_stream(out / "c.labelled.csv.zst", "zstd") as stream_:
        assert stream_.read().splitlines()[1] == b"joy,joy,0.9,"
    assert (out / "d.labelled.ndjson").read_bytes() == b""
    assert (out / "e.labelled.csv").read_bytes() == f"id,text,{','.join(ADDED_COLUMNS)}\n".encode()
    written = pq.read_table(out / "f.labelled.parquet")
    assert written.drop(list(ADDED_COLUMNS)).equals(table)
    assert written[ADDED_COLUMNS[0]].to_pylist()[:3] == ["sadness", "joy", "love"]
    assert strip_json((out / "h.labelled.jsonl").read_bytes()) == GOOD * 2
    [problem] = (out / "h.labelled.jsonl.rejects.jsonl").read_text().splitlines()
    assert json.loads(problem)["line"] == 2
    assert leftovers(out) == []
    assert not (out / "g.labelled.csv").exists()


def test_stdin_to_stdout_with_rejected_rows(tmp_path: Path) -> None:
    data = b"id,text\r\n00012,joy\r\n1,2,3\r\n+35,love\r\n"
    rejects = tmp_path / "bad.jsonl"
    done = detect("-", "--format", "csv", "--rejects", rejects, stdin=data)
    assert done.returncode == 3
    assert strip_csv(done.stdout) == data.replace(b"1,2,3\r\n", b"")
    assert b"1 rejected" in done.stderr


def test_first_bad_row_fails_the_run_if_asked(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(GOOD * 5000 + b"broken\n" + GOOD)
    done = detect(tmp_path / "in.jsonl", "--errors", "fail")
    assert done.returncode == 1
    assert b"in.jsonl:5001: not valid JSON" in b" ".join(done.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


@pytest.mark.parametrize("arguments", [["--out", "out.xlsx"], ["--out", "in.jsonl"]])
def test_unusable_output_is_refused_before_any_work(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.jsonl").write_bytes(GOOD)
    out = [arguments[0], tmp_path / arguments[1]]
    done = detect(tmp_path / "in.jsonl", *out)
    assert done.returncode == 1
    assert b"InputFileError" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_reader_that_leaves_ends_the_run_quietly(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(mixed_rows(20_000))
    errors = tmp_path / "errors"
    arguments = command(tmp_path / "in.jsonl", "--out", "-")
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().endswith(b"\n")
        process.stdout.close()
        try:
            assert process.wait(60) == 141
        finally:
            process.kill()
    assert "Traceback" not in errors.read_text()


def rows_in(journal: Path) -> int:
    """Count the rows of the whole lines of a journal, after the one that identifies the run."""
    lines = journal.read_bytes().splitlines(keepends=True)[1:]
    return sum(len(json.loads(line)) for line in lines if line.endswith(b"\n"))


def stopped_run(source: Path, journal: Path, number: signal.Signals) -> int:
    """Start a run, stop it when some labels are in its journal, and return its status."""
    process = subprocess.Popen(
        command(source),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A test run in the background ignores Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline_s = time.monotonic() + 300
        while not journal.exists() or journal.stat().st_size < 200_000:
            assert process.poll() is None, "it was done before it could be stopped"
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        process.send_signal(number)
        return process.wait(120)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)],
    ids=["kill", "terminate", "interrupt"],
)
def test_stopped_run_continues(tmp_path: Path, number: signal.Signals, status: int) -> None:
    data = mixed_rows(200_000)
    source = tmp_path / "in.jsonl"
    source.write_bytes(data)
    journal = tmp_path / ".in.labelled.jsonl.resume"
    assert stopped_run(source, journal, number) == status
    kept = rows_in(journal)
    expected = {journal.name, "in.jsonl"}
    found = {path.name for path in tmp_path.iterdir()}
    assert found - {".in.labelled.jsonl.part"} == expected
    assert number == signal.SIGKILL or ".in.labelled.jsonl.part" not in found
    done = detect(source)
    assert done.returncode == 0, done.stderr
    resumed = re.search(rb"([\d,]+)\s+resumed", done.stderr)
    assert resumed, done.stderr
    assert int(resumed[1].replace(b",", b"")) == kept > 1000
    assert strip_json((tmp_path / "in.labelled.jsonl").read_bytes()) == data
    assert leftovers(tmp_path) == []
