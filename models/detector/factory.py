"""Choice of the classifier that runs a detector artifact: in serving, and in training."""

from pathlib import Path
from typing import TYPE_CHECKING

from models.detector.base import TextClassifier
from models.detector.int8.cache import supports_int8
from models.detector.int8.classifier import Int8Classifier

if TYPE_CHECKING:
    from models.detector.transformer import TransformerClassifier


def open_classifier(folder: Path, device: str = "cpu", precision: str = "auto") -> TextClassifier:
    """Load a detector artifact: in int8 where supported, else in floating point.

    `precision` is "auto", or "bf16" to use floating point in any case. A CPU without bf16
    instructions gets float32, which is several times faster there.
    """
    if precision == "auto" and device == "cpu" and supports_int8(folder):
        return Int8Classifier(folder)
    from models.detector.transformer import TransformerClassifier  # imports transformers, slow
    from models.machine.precision import fastest_dtype  # imports torch, slow

    return TransformerClassifier(folder, fastest_dtype(device), device)


def open_for_training(folder: Path) -> "TransformerClassifier":
    """Load a detector or the judge in floating point, on the device and in the type of training.

    Raises ManifestError if the artifact does not match its manifest.
    """
    from models.detector.transformer import TransformerClassifier  # imports transformers, slow
    from models.machine.precision import training_device, training_dtype

    return TransformerClassifier(folder, training_dtype(), training_device())
