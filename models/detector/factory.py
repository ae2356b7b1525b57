"""Choice of the fastest classifier that can run a detector artifact."""

from pathlib import Path

from models.detector.base import TextClassifier
from models.detector.int8.cache import supports_int8
from models.detector.int8.classifier import Int8Classifier

BF16_CAPABILITIES = ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16")


def open_classifier(folder: Path, device: str = "cpu", precision: str = "auto") -> TextClassifier:
    """Load a detector artifact: in int8 where supported, else in floating point.

    `precision` is "auto", or "bf16" to use floating point in any case. A CPU without bf16
    instructions gets float32, which is several times faster there.
    """
    if precision == "auto" and device == "cpu" and supports_int8(folder):
        return Int8Classifier(folder)
    import torch

    from models.detector.transformer import TransformerClassifier  # imports transformers, slow

    fast = device != "cpu" or has_bf16()
    return TransformerClassifier(folder, torch.bfloat16 if fast else torch.float32, device)


def has_bf16() -> bool:
    """Return whether this CPU has instructions for products of bf16."""
    import torch

    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in BF16_CAPABILITIES)
