"""Measures a detector artefact on the evaluation splits and prints one table."""

import json
import time
from pathlib import Path

from rich.table import Table

from models.classifier import Classifier
from models.manifest import ARTIFACTS
from training import corpora
from training.corpora import Example
from training.measures import scores
from training.progress import console, quiet_libraries


def evaluation_sets(data: Path | None) -> dict[str, list[Example]]:
    """`emotion/test` is for reporting, never for choosing."""
    return {
        "emotion_test": corpora.emotion("test", data),
        "goemotions_dev_strict": corpora.goemotions("dev", data, corpora.GOEMOTIONS_STRICT),
        "goemotions_dev_broad": corpora.goemotions("dev", data, corpora.GOEMOTIONS_BROAD),
        "ordinary_held_out_topics": corpora.ordinary(held_out=True),
    }


def evaluate_detector(artifact: Path | None, data: Path | None) -> dict[str, dict[str, float]]:
    """Accuracy, macro-F1 and calibration error at the shipped temperature, for each set. Also printed."""
    quiet_libraries()
    classifier = Classifier(artifact or ARTIFACTS / "detector")
    report = {}
    table = Table("set", "rows", "accuracy", "macro-F1", "ECE", "texts/s", title=f"detector {classifier.manifest.content_hash[:12]}")
    for name, examples in evaluation_sets(data).items():
        began_s = time.perf_counter()
        logits = classifier.all_logits([example.text for example in examples]) / classifier.manifest.temperature
        rate = len(examples) / (time.perf_counter() - began_s)
        report[name] = scores(logits, [example.label for example in examples])
        row = report[name]
        table.add_row(name, str(len(examples)), f"{row['accuracy']:.4f}", f"{row['macro_f1']:.4f}", f"{row['ece']:.4f}", f"{rate:.0f}")
    console.print(table)
    print(json.dumps(report))
    return report
