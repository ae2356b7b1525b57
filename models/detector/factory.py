"""Choice of the fastest classifier that can run a detector artifact."""

from pathlib import Path

from models.detector.base import TextClassifier
from models.detector.int8.cache import supports_int8
from models.detector.int8.classifier import Int8Classifier


def open_classifier(folder: Path, device: str = "cpu", precision: str = "auto") -> TextClassifier:
    """Load a detector artifact: in int8 where supported, else in floating point.

    `precision` is "auto", or "bf16" to use floating point in any case. A CPU without bf16
    instructions gets float32, which is several times faster there.
    """
    if precision == "auto" and device == "cpu" and supports_int8(folder):
        return Int8Classifier(folder)
    from models.detector.transformer import TransformerClassifier  # imports transformers, slow
    from models.precision import fastest_dtype  # imports torch, slow

    return TransformerClassifier(folder, fastest_dtype(device), device)
