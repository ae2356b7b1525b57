"""Measure a detector artefact: accuracy, calibration and speed."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from models.detector.base import TextClassifier
from models.detector.factory import open_for_training
from models.emotions import LABELS
from models.manifest import DETECTOR_WEIGHTS
from models.text.normalize import normalize
from training.datasets.sources import Example
from training.evaluation.classification import calibration_error, reliability_bins
from training.evaluation.intervals import (
    accuracy_interval,
    class_f1,
    confusion,
    macro_f1_interval,
)
from training.evaluation.label_noise import WordLabelCounts, label_noise
from training.report.schema import DetectorReport, DetectorSetResult

LATENCY_TEXTS = 60
WARMUP_TEXTS = 5
BATCH_SIZE = 32
THROUGHPUT_BATCHES = 8


def detector_report(
    folder: Path, sets: dict[str, list[Example]], words: Mapping[str, WordLabelCounts]
) -> DetectorReport:
    """Measure the detector in `folder` on every set.

    `words` maps the name of a set to the word counts of the training split that was labelled in the
    same way, if there is one. Latency and throughput are those of this process on this machine, on
    texts of the first sets.
    """
    classifier = open_for_training(folder)
    texts = [row.text for rows in sets.values() for row in rows]
    texts = texts[: THROUGHPUT_BATCHES * BATCH_SIZE]
    manifest = classifier.manifest
    return DetectorReport(
        name=folder.name if folder.name != "artifact" else folder.parent.name,
        base=manifest.base,
        content_hash=manifest.content_hash,
        parameters=sum(parameter.numel() for parameter in classifier.model.parameters()),
        artifact_mib=(folder / DETECTOR_WEIGHTS).stat().st_size / 2**20,
        temperature=manifest.temperature,
        single_p50_ms=single_p50_ms(classifier, texts[:LATENCY_TEXTS]),
        texts_per_s=texts_per_s(classifier, texts),
        sets={name: measure_set(classifier, rows, words.get(name)) for name, rows in sets.items()},
    )


def measure_set(
    classifier: TextClassifier, rows: list[Example], words: WordLabelCounts | None = None
) -> DetectorSetResult:
    """Measure a detector on one set, with 95 % intervals over its rows.

    Texts are normalized, as in serving and in training.
    """
    labels = [row.label for row in rows]
    raw_logits = classifier.all_logits([normalize(row.text) for row in rows])
    logits = raw_logits / classifier.manifest.temperature
    predicted = [int(number) for number in logits.argmax(-1)]
    counts = confusion(predicted, labels)
    correct = [guess == label for guess, label in zip(predicted, labels, strict=True)]
    return DetectorSetResult(
        rows=len(rows),
        accuracy=accuracy_interval(correct),
        macro_f1=macro_f1_interval(predicted, labels),
        per_class_f1=dict(zip(LABELS, map(float, class_f1(counts)), strict=True)),
        confusion=counts.tolist(),
        ece_before=calibration_error(raw_logits, labels),
        ece_after=calibration_error(logits, labels),
        reliability=reliability_bins(logits, labels),
        ambiguous=label_noise(words, rows, predicted) if words else None,
    )


def single_p50_ms(classifier: TextClassifier, texts: list[str]) -> float:
    """Return the median latency of one text in ms, tokenisation included, after a warm-up."""
    latencies_ms = []
    for text in [*texts[:WARMUP_TEXTS], *texts]:
        start_s = time.perf_counter()
        classifier.scores([text])
        latencies_ms.append((time.perf_counter() - start_s) * 1000)
    return statistics.median(latencies_ms[WARMUP_TEXTS:])


def texts_per_s(classifier: TextClassifier, texts: list[str]) -> float:
    """Return the throughput in batches of 32, in the given order, as requests arrive."""
    start_s = time.perf_counter()
    for start in range(0, len(texts), BATCH_SIZE):
        classifier.scores(texts[start : start + BATCH_SIZE])
    return len(texts) / (time.perf_counter() - start_s)
