"""Evaluate detectors and adapters, and write one report: `report.json` and `report.html`.

The artefacts are those that ship, or those of a run.
"""

import datetime
from collections.abc import Sequence
from pathlib import Path

from models.detector.factory import open_for_training
from models.emotions import LABELS, Emotion
from models.manifest import ARTIFACTS
from training.datasets import sources
from training.datasets.mixture import evaluation_sets
from training.evaluation.cross_persona import Detect
from training.evaluation.detector import detector_report
from training.evaluation.label_noise import WordLabelCounts
from training.evaluation.personas import PersonaArtifacts, check_artifacts, personas_report
from training.evaluation.tables import detector_table, personas_table, sense_table
from training.report.format import EMOTION_TEST
from training.report.html import write_report
from training.report.schema import DetectorReport, PersonasReport, Published, Report
from training.runs.folder import environment
from training.runs.machine import prepare_machine
from training.runs.progress import console, quiet_libraries

# Figures from model cards on the hub. "verified" means that the hub's own evaluator measured them
# on the test split.
PUBLISHED = (
    Published(
        model="BERT base (bhadresh-savani/bert-base-uncased-emotion)",
        accuracy=0.9405,
        status="self-reported",
    ),
    Published(
        model="BERT base (bhadresh-savani/bert-base-uncased-emotion)",
        accuracy=0.9265,
        status="verified",
    ),
    Published(
        model="RoBERTa base (bhadresh-savani/roberta-base-emotion)",
        accuracy=0.931,
        macro_f1=0.882,
        status="verified",
    ),
    Published(
        model="BERT base (ericntay/bert-finetuned-emotion)",
        accuracy=0.930,
        macro_f1=0.893,
        status="verified",
    ),
    Published(
        model="DistilBERT (bhadresh-savani/distilbert-base-uncased-emotion)",
        accuracy=0.927,
        macro_f1=0.883,
        status="verified",
    ),
)
REPORTED_SETS = (
    "ordinary_fresh",
    "ordinary_englishes",
    "emoji",
    "ordinary_held_out_topics",
    "emotion_test",
    "goemotions_dev_strict",
    "goemotions_dev_broad",
)
UNSEEN_BY_JUDGE = ("goemotions_dev_strict", "ordinary_held_out_topics", "ordinary_fresh")


def evaluate(
    data: Path | None, detectors: Sequence[Path], personas: PersonaArtifacts | None, out: Path
) -> Report:
    """Measure the artefacts and write the report into `out`.

    `data` is the folder of the public data sets, None to download them. Without `personas` only the
    detectors are measured. The first detector also detects the emotions for the personas. Raises
    ManifestError before anything is measured if an artefact of the personas does not fit.
    """
    quiet_libraries()
    prepare_machine()
    if personas:
        check_artifacts(personas)
    sets = evaluation_sets(data)
    report = Report(
        detectors=_measure_detectors(detectors, sets, data),
        personas=_measure_personas(personas, detectors[0], sets) if personas else None,
        published=list(PUBLISHED),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        environment=environment(),
    )
    console.print(f"report: {write_report(report, out)}")
    return report


def _measure_detectors(
    folders: Sequence[Path], sets: dict[str, list[sources.Example]], data: Path | None
) -> list[DetectorReport]:
    reported = {name: sets[name] for name in REPORTED_SETS}
    words = {EMOTION_TEST: WordLabelCounts(sources.load_emotion("train", data))}
    reports = []
    for folder in folders:
        reports.append(detector_report(folder, reported, words))
        console.print(detector_table(reports[-1]))
    return reports


def _measure_personas(
    artifacts: PersonaArtifacts, detector: Path, sets: dict[str, list[sources.Example]]
) -> PersonasReport:
    unseen = {name: sets[name] for name in UNSEEN_BY_JUDGE}
    report = personas_report(artifacts, _load_detector(detector), unseen, console.print)
    console.print(personas_table(report))
    console.print(sense_table(report.sense))
    return report


def shipped_detectors() -> list[Path]:
    """Return the folders of all published detectors, the default one first."""
    folders = sorted(path for path in (ARTIFACTS / "detectors").iterdir() if path.is_dir())
    return sorted(folders, key=lambda folder: folder.name != "minilm-l6")


def _load_detector(folder: Path) -> Detect:
    classifier = open_for_training(folder)

    def detect(texts: Sequence[str]) -> list[Emotion]:
        return [LABELS[int(number)] for number in classifier.all_logits(list(texts)).argmax(-1)]

    return detect
