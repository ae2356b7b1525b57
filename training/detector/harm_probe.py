"""Training of the probe for messages of harm: `python -m training harm`.

harm.jsonl + ordinary messages -> features of the detector -> logistic regression
    -> threshold by cross-validation -> files in the folder of the detector
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from models.detector.factory import open_for_training
from models.detector.harm import CATEGORIES, HARM_MANIFEST, HARM_WEIGHTS, HarmManifest
from models.detector.harm_probe import HarmProbe
from models.hashing import file_sha256, json_sha256
from training.datasets.dedup import check_leaks
from training.detector.harm_data import (
    LEAK_JACCARD,
    load_ordinary_rows,
    load_rows,
    without_near_duplicates,
)
from training.detector.harm_measures import measure_probe
from training.runs.progress import quiet_libraries

FALSE_ALARMS = 0.02  # share of ordinary messages that the threshold flags in cross-validation
STRENGTH = 0.01  # inverse of the L2 penalty
FOLDS = 5


def train_harm_probe(detector: Path) -> HarmManifest:
    """Train the probe on a detector's features and write it to the detector's folder.

    Raises LeakError if a test message is in the training data.
    """
    quiet_libraries()
    test = load_rows("harm_test.jsonl")
    own = without_near_duplicates(load_rows("harm.jsonl"), test)
    training = own + without_near_duplicates(load_ordinary_rows(), test)
    evaluation = {"harm_test": [row.text for row in test]}
    check_leaks((row.text for row in training), evaluation, LEAK_JACCARD)
    classifier = open_for_training(detector)
    features = classifier.all_features([row.text for row in training])
    labels = np.array([CATEGORIES.index(row.category) for row in training])
    threshold = choose_threshold(features, labels, ordinary_from=len(own))
    write_weights(make_regression().fit(features, labels), detector)
    manifest = HarmManifest(
        content_hash=file_sha256(detector / HARM_WEIGHTS),
        detector_hash=classifier.manifest.content_hash,
        training_data_hash=json_sha256([[row.text, row.category] for row in training]),
        threshold=threshold,
        metrics={},
    )
    write_manifest(manifest, detector)
    probe = HarmProbe(detector, manifest.detector_hash)
    measured = manifest.model_copy(update={"metrics": measure_probe(probe, classifier, test)})
    write_manifest(measured, detector)
    return measured


def make_regression() -> Pipeline:
    """Build the untrained logistic regression on scaled features."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=3000))


def choose_threshold(features: np.ndarray, labels: np.ndarray, ordinary_from: int) -> float:
    """Choose the probability of "no harm" below which a message is flagged.

    It flags the share FALSE_ALARMS of the ordinary messages, which are the rows from
    `ordinary_from`. Each is scored by a model that has not seen it.
    """
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    probabilities = cross_val_predict(
        make_regression(), features, labels, cv=folds, method="predict_proba"
    )
    harmless = probabilities[ordinary_from:, 0]
    return round(float(np.quantile(harmless, FALSE_ALARMS)), 4)


def write_weights(model: Pipeline, detector: Path) -> None:
    """Write the trained regression as one matrix and bias, with the scaling folded in."""
    scaler = model.steps[0][1]
    regression = model.steps[1][1]
    weight = regression.coef_ / scaler.scale_
    bias = regression.intercept_ - weight @ scaler.mean_
    tensors = {
        "weight": torch.tensor(weight, dtype=torch.float32).contiguous(),
        "bias": torch.tensor(bias, dtype=torch.float32),
    }
    save_file(tensors, detector / HARM_WEIGHTS, metadata={"format": "pt"})


def write_manifest(manifest: HarmManifest, detector: Path) -> None:
    """Write the manifest of the probe."""
    (detector / HARM_MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")
