"""Choice of the classifier that runs a detector artifact: in serving, and in training."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from models.detector.base import TextClassifier
from models.detector.int8.cache import supports_int8
from models.detector.int8.classifier import Int8Classifier
from models.manifest import DetectorManifest
from models.weights.cache import materialize

if TYPE_CHECKING:
    from models.detector.transformer import TransformerClassifier


def open_classifier(folder: Path, device: str = "cpu", precision: str = "auto") -> TextClassifier:
    """Load a detector artifact: in int8 where supported, else in floating point.

    `precision` is "auto", or "bf16" to use floating point in any case. A CPU without bf16
    instructions gets float32, which is several times faster there.
    """
    if precision == "auto" and device == "cpu" and supports_int8(folder):
        return Int8Classifier(folder)
    from models.machine.precision import fastest_dtype  # imports torch, slow

    if _is_whole_bert(folder):
        from models.detector.bert import BertClassifier  # imports torch, slow

        return BertClassifier(folder, fastest_dtype(device), device)
    from models.detector.transformer import TransformerClassifier  # imports transformers, slow

    return TransformerClassifier(folder, fastest_dtype(device), device)


def _is_whole_bert(folder: Path) -> bool:
    """Return whether an artifact holds all trained layers of a BERT, and no LoRA matrices."""
    manifest = DetectorManifest.read(folder)
    base = materialize(manifest.base).folder
    config = json.loads((base / "config.json").read_text("utf-8"))
    return manifest.lora_scale is None and config["model_type"] == "bert"


def open_for_training(folder: Path) -> "TransformerClassifier":
    """Load a detector or the judge in floating point, on the device and in the type of training.

    Raises ManifestError if the artifact does not match its manifest.
    """
    from models.detector.transformer import TransformerClassifier  # imports transformers, slow
    from models.machine.precision import training_device, training_dtype

    return TransformerClassifier(folder, training_dtype(), training_device())
