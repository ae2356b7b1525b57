"""Measures a detector artefact: how right, how calibrated, how fast."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from models.detector.base import TextClassifier
from models.detector.transformer import TransformerClassifier
from models.emotions import LABELS
from models.manifest import DETECTOR_WEIGHTS
from training.datasets.sources import Example
from training.evaluation.classification import calibration_error, reliability
from training.evaluation.intervals import accuracy_interval, class_f1, confusion, macro_f1_interval
from training.evaluation.label_noise import LabelsOfWords, ambiguous_words
from training.report.schema import DetectorOnSet, DetectorReport

SINGLES = 60
BATCH = 32


def detector_report(folder: Path, sets: dict[str, list[Example]], words: Mapping[str, LabelsOfWords]) -> DetectorReport:
    """A detector on every set. Latency and throughput are of this machine, in this process, on texts of the first set.

    `words` is of the training split that a set's labels are made like, by the set's name, where there is one.
    """
    classifier = TransformerClassifier(folder, device="cuda" if torch.cuda.is_available() else "cpu")
    texts = [row.text for rows in sets.values() for row in rows][: 8 * BATCH]
    manifest = classifier.manifest
    return DetectorReport(
        name=folder.name if folder.name != "artifact" else folder.parent.name,
        base=manifest.base,
        content_hash=manifest.content_hash,
        parameters=sum(parameter.numel() for parameter in classifier.model.parameters()),
        artifact_mib=(folder / DETECTOR_WEIGHTS).stat().st_size / 2**20,
        temperature=manifest.temperature,
        single_p50_ms=single_p50_ms(classifier, texts[:SINGLES]),
        texts_per_s=texts_per_s(classifier, texts),
        sets={name: on_set(classifier, rows, words.get(name)) for name, rows in sets.items()},
    )


def on_set(classifier: TextClassifier, rows: list[Example], words: LabelsOfWords | None = None) -> DetectorOnSet:
    """Figures of one set, with 95 % intervals over its rows."""
    labels = [row.label for row in rows]
    bare = classifier.all_logits([row.text for row in rows])
    logits = bare / classifier.manifest.temperature
    predicted = [int(number) for number in logits.argmax(-1)]
    counts = confusion(predicted, labels)
    return DetectorOnSet(
        rows=len(rows),
        accuracy=accuracy_interval([one == other for one, other in zip(predicted, labels, strict=True)]),
        macro_f1=macro_f1_interval(predicted, labels),
        per_class_f1=dict(zip(LABELS, map(float, class_f1(counts)), strict=True)),
        confusion=counts.tolist(),
        ece_before=calibration_error(bare, labels),
        ece_after=calibration_error(logits, labels),
        reliability=reliability(logits, labels),
        ambiguous=ambiguous_words(words, rows, predicted) if words else None,
    )


def single_p50_ms(classifier: TextClassifier, texts: list[str]) -> float:
    """Median time of one text, tokenisation included, after a warm-up."""
    taken = []
    for text in [*texts[:5], *texts]:
        began_s = time.perf_counter()
        classifier.scores([text])
        taken.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(taken[5:])


def texts_per_s(classifier: TextClassifier, texts: list[str]) -> float:
    """Throughput at batches of 32, unsorted, as requests arrive."""
    began_s = time.perf_counter()
    for start in range(0, len(texts), BATCH):
        classifier.scores(texts[start : start + BATCH])
    return len(texts) / (time.perf_counter() - began_s)
