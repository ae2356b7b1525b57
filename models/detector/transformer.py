"""Detector in floating point: base weights with the trained tensors loaded or merged in.

texts -> tokens, padded to the longest -> logits (batch, 6), features (batch, hidden)

Whole tensors, in 8-bit rows, replace those of the base; LoRA matrices are merged into them. Needs
transformers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from models.attention import attention_of
from models.detector.base import TextClassifier
from models.emotions import LABELS
from models.encoder.rows import restore_rows
from models.errors import ManifestError
from models.manifest import DETECTOR_WEIGHTS, DetectorManifest

# Suffixes of the two matrices of an update to the tensor of the same name.
LORA_A = ".lora_A"
LORA_B = ".lora_B"


def blank_model(
    base: Path, dtype: torch.dtype = torch.float32, config: dict[str, float] | None = None
) -> PreTrainedModel:
    """Load base weights with a new, untrained head of six logits.

    `config` overrides fields of the base's configuration.
    """
    labels = {label.id: str(label) for label in LABELS}
    ids = {label: number for number, label in labels.items()}
    kwargs = {"num_labels": len(LABELS), "id2label": labels, "label2id": ids, **(config or {})}
    return AutoModelForSequenceClassification.from_pretrained(
        base, dtype=dtype, attn_implementation=attention_of(base), **kwargs
    )


def load_tokenizer(base: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of base weights."""
    return AutoTokenizer.from_pretrained(base)


class TransformerClassifier(TextClassifier):
    """Detector artifact in floating point, on any device."""

    def __init__(
        self, folder: Path, dtype: torch.dtype = torch.bfloat16, device: str = "cpu"
    ) -> None:
        """Load the model. Raises ManifestError if the artifact does not match its manifest."""
        super().__init__(folder)
        self.device = device
        self.tokenizer = load_tokenizer(self.base.folder)
        model = _base_model(self.base.folder, self.manifest)
        _load_trained(model, folder, self.manifest.lora_scale)
        self.model = model.to(device, dtype).eval()

    def tokens(self, texts: Sequence[str]) -> Any:
        """Tokenize texts into `input_ids` and `attention_mask`, `(batch, longest)`."""
        return self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.manifest.max_tokens,
            return_tensors="pt",
        )

    def token_windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Tokenize texts of any length; see `TextClassifier.token_windows`."""
        encoded = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.manifest.max_tokens,
            return_overflowing_tokens=True,
        )
        windows: list[list[list[int]]] = [[] for _ in texts]
        for number, ids in zip(
            encoded["overflow_to_sample_mapping"], encoded["input_ids"], strict=True
        ):
            windows[number].append(ids)
        return windows

    @torch.inference_mode()
    def forward_ids(self, windows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the model on one batch; see `TextClassifier.forward_ids`."""
        rows = {"input_ids": [list(window) for window in windows]}
        batch = self.tokenizer.pad(rows, return_tensors="pt").to(self.device)
        output = self.model(**batch, output_hidden_states=True)
        mask = batch["attention_mask"].unsqueeze(-1)
        features = (output.hidden_states[-1].float() * mask).sum(1) / mask.sum(1)
        return output.logits.float().cpu(), features.cpu()


def _base_model(base: Path, manifest: DetectorManifest) -> PreTrainedModel:
    """Load the base in float32. LoRA was trained on bf16 weights, so it gets those values."""
    dtype = torch.float32 if manifest.lora_scale is None else torch.bfloat16
    return blank_model(base, dtype).float()


def _load_trained(model: PreTrainedModel, folder: Path, lora_scale: float | None) -> None:
    """Load the artifact's tensors into the model, including the classification head."""
    tensors = restore_rows(load_file(folder / DETECTOR_WEIGHTS), torch.float32)
    base_tensors = model.state_dict()
    merged = {
        name: tensor for name, tensor in tensors.items() if not name.endswith((LORA_A, LORA_B))
    }
    for name in {name.removesuffix(LORA_A) for name in tensors if name.endswith(LORA_A)}:
        update = tensors[name + LORA_B].float() @ tensors[name + LORA_A].float()
        merged[name] = base_tensors[name] + update * (lora_scale or 1)
    missing, unexpected = model.load_state_dict(merged, strict=False)
    if unexpected:
        raise ManifestError(f"{folder.name}: unknown tensors {unexpected[:3]}")
    if any("classifier" in name or name == "score.weight" for name in missing):
        raise ManifestError(f"{folder.name}: the artifact has no trained head")
