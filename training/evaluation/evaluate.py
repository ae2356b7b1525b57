"""Measures detectors and adapters, the shipped ones or those of a run, and writes one report: `report.json` and `report.html`."""

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from models.detector.transformer import TransformerClassifier
from models.emotions import LABELS, Emotion
from models.manifest import ARTIFACTS
from training.datasets import sources
from training.datasets.mixture import evaluation_sets
from training.evaluation.detector import detector_report
from training.evaluation.label_noise import LabelsOfWords
from training.evaluation.personas import personas_report
from training.report.format import EMOTION_TEST
from training.report.html import write_report
from training.report.schema import DetectorReport, PersonasReport, Published, Report
from training.runs.folder import environment
from training.runs.progress import console, quiet_libraries

PUBLISHED = (  # the model cards on the hub; "verified" is what the hub's own evaluator measured on the test split
    Published(model="BERT base (bhadresh-savani/bert-base-uncased-emotion)", accuracy=0.9405, status="self-reported"),
    Published(model="BERT base (bhadresh-savani/bert-base-uncased-emotion)", accuracy=0.9265, status="verified"),
    Published(model="RoBERTa base (bhadresh-savani/roberta-base-emotion)", accuracy=0.931, macro_f1=0.882, status="verified"),
    Published(model="BERT base (ericntay/bert-finetuned-emotion)", accuracy=0.930, macro_f1=0.893, status="verified"),
    Published(model="DistilBERT (bhadresh-savani/distilbert-base-uncased-emotion)", accuracy=0.927, macro_f1=0.883, status="verified"),
)
REPORTED = ("ordinary_fresh", "ordinary_held_out_topics", "emotion_test", "goemotions_dev_strict", "goemotions_dev_broad")
UNSEEN_BY_JUDGE = ("goemotions_dev_strict", "ordinary_held_out_topics", "ordinary_fresh")


def evaluate(data: Path | None, detectors: Sequence[Path], adapters: Path | None, base: str, judge: Path, out: Path) -> Report:
    """`data` is the folder of the public sets, None for the hub. The first detector is the one that the chain is measured with."""
    quiet_libraries()
    every = evaluation_sets(data)
    sets = {name: every[name] for name in REPORTED}
    words = {EMOTION_TEST: LabelsOfWords(sources.emotion("train", data))}
    measured = [_measured(detector_report(folder, sets, words)) for folder in detectors]
    personas = None
    if adapters is not None:
        unseen = {name: every[name] for name in UNSEEN_BY_JUDGE}
        personas = personas_report(base, adapters, judge, _detect(detectors[0]), unseen, console.print)
        console.print(_personas_table(personas))
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    report = Report(created=created, environment=environment(), detectors=measured, published=list(PUBLISHED), personas=personas)
    console.print(f"report: {write_report(report, out)}")
    return report


def shipped_detectors() -> list[Path]:
    """Every published detector, the default one first."""
    folders = sorted(path for path in (ARTIFACTS / "detectors").iterdir() if path.is_dir())
    return sorted(folders, key=lambda folder: folder.name != "mpnet-base")


def _detect(folder: Path) -> Callable[[Sequence[str]], list[Emotion]]:
    classifier = TransformerClassifier(folder)

    def detect(texts: Sequence[str]) -> list[Emotion]:
        return [LABELS[int(number)] for number in classifier.all_logits(list(texts)).argmax(-1)]

    return detect


def _measured(report: DetectorReport) -> DetectorReport:
    speed = f"{report.single_p50_ms:.1f} ms a text, {report.texts_per_s:.0f} texts/s"
    table = Table("set", "rows", "accuracy", "macro-F1", "ECE", title=f"detector {report.name} {report.content_hash[:12]}, {speed}")
    for name, found in report.sets.items():
        accuracy, macro = (f"{i.value:.4f} ({i.low:.3f} to {i.high:.3f})" for i in (found.accuracy, found.macro_f1))
        table.add_row(name, str(found.rows), accuracy, macro, f"{found.ece_after:.4f}")
    console.print(table)
    return report


def _personas_table(report: PersonasReport) -> Table:
    table = Table("persona", "arm", "hit rate", "masked", "distinct-2", "words", "echo", "ends", title="personas")
    for one in report.personas:
        for name, arm in one.arms.items():
            hit = f"{arm.hit_rate.value:.2f} ({arm.hit_rate.low:.2f} to {arm.hit_rate.high:.2f})"
            figures = (f"{arm.masked_hit_rate.value:.2f}", f"{arm.distinct_2:.2f}", f"{arm.words_mean:.0f}")
            table.add_row(one.persona, name, hit, *figures, f"{arm.echo_rate:.3f}", f"{arm.stop_rate:.3f}")
    return table
