"""Fits the probe that tells messages of harm on a detector's features, and measures it: `python -m training harm`.

harm.jsonl + ordinary messages -> features of the detector -> logistic regression -> threshold by cross-validation -> beside the detector
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from models.detector.harm import CATEGORIES, HARM_MANIFEST, HARM_WEIGHTS, Category, HarmManifest
from models.detector.harm_probe import HarmProbe
from models.detector.transformer import TransformerClassifier
from models.hashing import file_sha256, json_sha256
from training.datasets.dedup import NearIndex, check_leaks
from training.datasets.persona_pairs import DATA
from training.datasets.sources import fresh, ordinary
from training.evaluation.intervals import accuracy_interval
from training.report.schema import Interval
from training.runs.progress import console, quiet_libraries

ORDINARY = 4000  # messages of six emotions that speak of no harm, drawn from those that the detector is trained on
FALSE_ALARMS = 0.02  # of ordinary messages, in cross-validation: what sets the threshold
STRENGTH = 0.01  # inverse of the L2 penalty
FOLDS = 5
LEAK_JACCARD = 0.8


@dataclass(frozen=True, slots=True)
class Row:
    """`category` is None where the message speaks of no harm, `kind` says what makes it hard."""

    text: str
    category: Category | None
    kind: str = ""


def rows(name: str) -> list[Row]:
    """The lines of a file of `training/data`."""
    lines = map(json.loads, (DATA / name).read_text("utf-8").splitlines())
    return [Row(line["text"], Category(line["category"]) if line["category"] else None, line.get("kind", "")) for line in lines]


def train_harm(detector: Path) -> HarmManifest:
    """Writes the probe beside the detector's artefact. Raises LeakError if a test message is trained on."""
    quiet_libraries()
    test = rows("harm_test.jsonl")
    own = _unlike(rows("harm.jsonl"), test)
    drawn = random.Random(0).sample(ordinary(held_out=False), ORDINARY)
    training = own + _unlike([Row(example.text, None) for example in drawn], test)
    check_leaks((row.text for row in training), {"harm_test": [row.text for row in test]}, LEAK_JACCARD)
    classifier = TransformerClassifier(detector)
    features = classifier.all_features([row.text for row in training])
    labels = np.array([CATEGORIES.index(row.category) for row in training])
    threshold = _threshold(features, labels, ordinary_from=len(own))
    _write(_model().fit(features, labels), detector)
    manifest = HarmManifest(
        content_hash=file_sha256(detector / HARM_WEIGHTS),
        detector_hash=classifier.manifest.content_hash,
        training_data_hash=json_sha256([[row.text, row.category] for row in training]),
        threshold=threshold,
        metrics={},
    )
    return _measured(manifest, classifier, detector, test)


def _unlike(found: Sequence[Row], test: Sequence[Row]) -> list[Row]:
    """Without those that are like a test message: two writers may have the same thought."""
    index = NearIndex(LEAK_JACCARD)
    for row in test:
        index.add(row.text)
    return [row for row in found if index.find(row.text) is None]


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=3000))


def _threshold(features: np.ndarray, labels: np.ndarray, ordinary_from: int) -> float:
    """Below it `FALSE_ALARMS` of the ordinary messages are, by a model that has not seen them."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    harmless = cross_val_predict(_model(), features, labels, cv=folds, method="predict_proba")[:, 0]
    return round(float(np.quantile(harmless[ordinary_from:], FALSE_ALARMS)), 4)


def _write(model: Pipeline, detector: Path) -> None:
    """One matrix: the scaling is folded into it."""
    scaler, regression = model.steps[0][1], model.steps[1][1]
    weight = regression.coef_ / scaler.scale_
    bias = regression.intercept_ - weight @ scaler.mean_
    tensors = {"weight": torch.tensor(weight, dtype=torch.float32).contiguous(), "bias": torch.tensor(bias, dtype=torch.float32)}
    save_file(tensors, detector / HARM_WEIGHTS, metadata={"format": "pt"})


def _measured(manifest: HarmManifest, classifier: TransformerClassifier, detector: Path, test: Sequence[Row]) -> HarmManifest:
    """Prints how the probe does on messages that it never saw, and writes the manifest with the figures."""
    _save(manifest, detector)
    probe = HarmProbe(detector, manifest.detector_hash)
    flagged = [found is not None for found in probe.categories(torch.from_numpy(classifier.all_features([row.text for row in test])))]
    harmful = [row.category is not None for row in test]
    precision = accuracy_interval([real for real, flag in zip(harmful, flagged, strict=True) if flag])
    recall = accuracy_interval([flag for real, flag in zip(harmful, flagged, strict=True) if real])
    alarms = probe.categories(torch.from_numpy(classifier.all_features([example.text for example in fresh()])))
    ordinary_alarms = accuracy_interval([found is not None for found in alarms])
    console.print(_table(test, flagged, {"precision": precision, "recall": recall, "ordinary messages flagged": ordinary_alarms}))
    figures = {"test_precision": precision.value, "test_recall": recall.value, "fresh_flagged": ordinary_alarms.value}
    final = manifest.model_copy(update={"metrics": {name: round(value, 4) for name, value in figures.items()}})
    _save(final, detector)
    return final


def _save(manifest: HarmManifest, detector: Path) -> None:
    (detector / HARM_MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")


def _table(test: Sequence[Row], flagged: Sequence[bool], figures: dict[str, Interval]) -> Table:
    table = Table("messages", "kind", "flagged", title="messages that speak of harm, unseen")
    for key in sorted({(str(row.category or "no harm"), row.kind) for row in test}):
        flags = [flag for row, flag in zip(test, flagged, strict=True) if (str(row.category or "no harm"), row.kind) == key]
        table.add_row(*key, f"{sum(flags)} of {len(flags)}")
    for name, found in figures.items():
        table.add_row(name, "", f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})")
    return table
