"""Plan: patterns, the names of outputs, and what is refused before any work."""

from pathlib import Path

import pytest

from serve.batch.formats.registry import ReadOptions
from serve.batch.plan import Job, plan_jobs
from serve.errors import InputFileError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.jsonl", "b.jsonl", "c.CSV", "d.jsonl.gz", "e.parquet", "f.log", "sub/a.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*patterns: str, out: str | None = None, kind: str | None = None) -> list[Job]:
    return plan_jobs(list(patterns), out, None, ReadOptions(format=kind))


@pytest.mark.parametrize(
    ("source", "out", "expected", "compression"),
    [
        ("a.jsonl", None, "a.labelled.jsonl", None),
        ("c.CSV", None, "c.labelled.CSV", None),
        ("d.jsonl.gz", None, "d.labelled.jsonl.gz", "gz"),
        ("d.jsonl.gz", "x.ndjson.zst", "x.ndjson.zst", "zst"),
        ("a.jsonl", "sub", "sub/a.labelled.jsonl", None),
        ("a.jsonl", "new/", "new/a.labelled.jsonl", None),
        ("a.jsonl", "/dev/null", "/dev/null", None),
        ("a.jsonl", "-", None, None),
        ("-", None, None, None),
        ("-", "x.jsonl", "x.jsonl", None),
    ],
)
@pytest.mark.usefixtures("folder")
def test_output_name(
    source: str, out: str | None, expected: str | None, compression: str | None
) -> None:
    [job] = plan(source, out=out, kind="jsonl" if source == "-" else None)
    assert job.out == (Path(expected) if expected else None)
    assert job.compression == compression


@pytest.mark.usefixtures("folder")
def test_patterns_leave_out_earlier_results_and_repeats() -> None:
    Path("a.labelled.jsonl").touch()
    jobs = plan("*.jsonl", "a.jsonl", "**/a.jsonl")
    assert [job.name for job in jobs] == ["a.jsonl", "b.jsonl", "sub/a.jsonl"]


@pytest.mark.usefixtures("folder")
def test_file_whose_name_looks_like_a_pattern_is_taken() -> None:
    Path("a[1].jsonl").touch()
    assert [job.name for job in plan("a[1].jsonl")] == ["a[1].jsonl"]


@pytest.mark.parametrize(
    ("patterns", "out", "phrase"),
    [
        (["a.jsonl"], "x.csv", "cannot convert jsonl"),
        (["a.jsonl"], "x.xlsx", "cannot convert jsonl"),
        (["e.parquet"], "x.parquet.gz", "compresses its own"),
        (["a.jsonl"], "a.jsonl", "is the input itself"),
        (["f.log"], None, "unknown format"),
        (["-"], None, "--format"),
        (["none.jsonl"], None, "no such file"),
        (["none*.jsonl"], None, "no file matches"),
        (["sub"], None, "is not a file"),
        (["a.jsonl", "b.jsonl"], "-", "expected one input"),
        (["a.jsonl", "sub/a.jsonl"], "sub", "two input files"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_plan_that_cannot_work_is_refused(
    patterns: list[str], out: str | None, phrase: str
) -> None:
    with pytest.raises(InputFileError, match=phrase):
        plan(*patterns, out=out)


@pytest.mark.usefixtures("folder")
def test_given_format_takes_any_name() -> None:
    assert [job.out for job in plan("f.log", kind="jsonl")] == [Path("f.labelled.log")]


def plan_with_rejects(rejects: str, source: str = "a.jsonl", out: str | None = None) -> list[Job]:
    return plan_jobs([source], out, Path(rejects), ReadOptions())


@pytest.mark.parametrize(
    ("rejects", "phrase"),
    [
        ("x.jsonl", "is the output itself"),
        ("sub/../x.jsonl", "is the output itself"),
        ("link.jsonl", "is the output itself"),  # to a file that does not exist yet
        ("a.jsonl", "is the input itself"),
        ("hard.jsonl", "is the input itself"),
        ("soft.jsonl", "is the input itself"),
        ("notes.txt", "holds no rejected rows"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_rejects_never_replace_another_file(rejects: str, phrase: str) -> None:
    Path("link.jsonl").symlink_to("x.jsonl")
    Path("hard.jsonl").hardlink_to("a.jsonl")
    Path("soft.jsonl").symlink_to("a.jsonl")
    Path("notes.txt").write_text("mine")
    with pytest.raises(InputFileError, match=phrase):
        plan_with_rejects(rejects, out="x.jsonl")
    assert Path("notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "content", ["", '{"line": 3, "reason": "not valid JSON", "kept": false}\n']
)
@pytest.mark.usefixtures("folder")
def test_rejects_of_an_earlier_run_may_be_replaced(content: str) -> None:
    Path("bad.jsonl").write_text(content)
    assert [job.rejects for job in plan_with_rejects("bad.jsonl")] == [Path("bad.jsonl")]


@pytest.mark.usefixtures("folder")
def test_default_rejects_are_not_the_input() -> None:
    Path("x.jsonl.rejects.jsonl").touch()
    with pytest.raises(InputFileError, match="is the input itself"):
        plan("x.jsonl.rejects.jsonl", out="x.jsonl")


@pytest.mark.usefixtures("folder")
def test_output_of_one_file_is_not_another_input() -> None:
    Path("a.labelled.jsonl").touch()
    with pytest.raises(InputFileError, match=r"a\.labelled\.jsonl: is the input itself"):
        plan("a.jsonl", "a.labelled.jsonl")
