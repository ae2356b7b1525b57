"""One file of a run, without Ray: counts, rejects, leftovers and how a later run continues."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.batch.classify import label_texts
from serve.batch.file_run import FileRun, Task
from serve.batch.formats.records import CHUNK_ROWS, Label, Source
from serve.batch.formats.registry import ReadOptions, open_source
from serve.batch.journal import Journal
from serve.batch.plan import plan_jobs
from serve.batch.ray_stream import Labels, LabelStream
from serve.batch.report import Report
from serve.detector.scripted import ScriptedClassifier
from serve.errors import InputFileError
from support.batch_files import strip_json

GOOD = b'{"text": "joy"}\n'


class Recorder:
    """Records the progress."""

    def __init__(self) -> None:
        self.updates: list[tuple[int, bool]] = []

    def start(self, total_bytes: int) -> None: ...

    def update(self, rows: int, position: int, *, resumed: bool) -> None:
        self.updates.append((rows, resumed))

    def finish(self, report: Report) -> None: ...


def labels_of(source: Source, known: int = 0) -> Iterator[tuple[int, Labels]]:
    for number, texts in enumerate(source.texts()):
        if number >= known:
            yield 0, label_texts(ScriptedClassifier(), texts, 32)


def task_of(path: Path, known: int = 0) -> Task:
    [job] = plan_jobs([str(path)], None, None, ReadOptions())
    source = open_source(path, path.name, ReadOptions())
    assert job.out is not None
    return Task(job, source, "run", job.out.with_name(".journal"), known)


def run(task: Task, stream: Iterator[tuple[int, Labels]], *, stop: bool = False) -> Report:
    return FileRun(task, LabelStream(stream), Recorder(), stop_at_problem=stop).run(0)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_bytes(GOOD * (2 * CHUNK_ROWS + 5))
    return path


def test_report_counts_every_kind_of_row(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(
        GOOD * 2 + b'{"text": "caf\xe9 love"}\n{"text": null}\n{"text": 1}\n\nbroken\n{}\n'
    )
    task = Task(
        plan_jobs([str(path)], None, None, ReadOptions())[0],
        open_source(path, path.name, ReadOptions(encoding="utf-8")),
        "run",
    )
    report = run(task, labels_of(task.source))
    assert report.rows == 7
    assert report.emotions == {"joy": 2, "love": 1}
    assert (report.blank, report.unlabelled, report.rejected) == (1, 3, 1)
    assert report.rejects == task.job.rejects
    assert task.job.rejects is not None
    lines = [json.loads(line) for line in task.job.rejects.read_text().splitlines()]
    assert [(line["line"], line["kept"]) for line in lines] == [
        (3, True),
        (5, True),
        (7, False),
        (8, True),
    ]


def test_text_on_which_the_detector_fails_is_reported(source: Path) -> None:
    task = task_of(source)
    labels: Labels = [Label("joy", 0.9, None)] * CHUNK_ROWS
    labels[7] = None
    rest: Labels = [Label("joy", 0.9, None)] * 5
    report = run(task, iter([(0, labels), (0, labels), (0, rest)]))
    assert report.unlabelled == 2
    assert task.job.rejects is not None
    lines = [json.loads(line) for line in task.job.rejects.read_text().splitlines()]
    assert [line["line"] for line in lines] == [8, CHUNK_ROWS + 8]


def test_rejects_of_an_earlier_run_are_deleted(source: Path) -> None:
    task = task_of(source)
    assert task.job.rejects is not None
    task.job.rejects.write_text("old")
    assert run(task, labels_of(task.source)).rejects is None
    assert names(source.parent) == {"in.jsonl", "in.labelled.jsonl"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_run_that_is_stopped_keeps_only_its_journal(
    source: Path, error: type[BaseException]
) -> None:
    def broken() -> Iterator[tuple[int, Labels]]:
        yield next(labels_of(task.source))
        raise error

    task = task_of(source)
    with pytest.raises(error):
        run(task, broken())
    assert names(source.parent) == {"in.jsonl", ".journal"}
    journal = Journal(source.parent / ".journal", "run")
    assert journal.chunks == 1
    journal.close(keep=True)

    again = task_of(source, known=1)
    report = run(again, labels_of(again.source, known=1))
    assert report.resumed == CHUNK_ROWS
    assert again.job.out is not None
    assert strip_json(again.job.out.read_bytes()) == source.read_bytes()
    assert names(source.parent) == {"in.jsonl", "in.labelled.jsonl"}


@pytest.mark.parametrize("spoil", ["no labels", "too few labels", "labels of the next file"])
def test_file_that_changes_during_the_run_leaves_nothing(source: Path, spoil: str) -> None:
    task = task_of(source)
    first = next(labels_of(task.source))[1]
    stream = {
        "no labels": [(0, first)],
        "too few labels": [(0, first[1:])],
        "labels of the next file": [(0, first), (1, first)],
    }[spoil]
    with pytest.raises(InputFileError, match="changed during the run"):
        run(task, iter(stream))
    assert names(source.parent) == {"in.jsonl"}


def test_first_problem_ends_the_run_if_asked(source: Path) -> None:
    source.write_bytes(GOOD * 3000 + b"broken\n")
    task = task_of(source)
    with pytest.raises(InputFileError, match=r"in\.jsonl:3001: not valid JSON"):
        run(task, labels_of(task.source), stop=True)
    assert names(source.parent) == {"in.jsonl"}


def test_labels_left_by_a_file_that_failed_are_skipped() -> None:
    stream = LabelStream(iter([(0, []), (0, []), (1, [None]), (2, [])]))
    assert stream.take(0) == []
    assert stream.take(1) == [None]
    assert stream.take(1) is None
    assert stream.take(2) == []
    assert stream.take(2) is None
