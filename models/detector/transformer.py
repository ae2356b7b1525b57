"""The detector: base weights with the trained tensors laid over them, or merged into them where they are LoRA. Needs transformers.

texts -> tokens, padded to the longest -> logits (batch, 6) -> softmax at the fitted temperature -> scores (batch, 6)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from models.detector.base import TextClassifier
from models.emotions import LABELS
from models.errors import ManifestError
from models.manifest import DETECTOR_WEIGHTS, DetectorManifest

LORA_A, LORA_B = ".lora_A", ".lora_B"  # endings of the two halves of an update to the tensor whose name stands before them


def blank_model(base: Path, dtype: torch.dtype = torch.float32, config: dict[str, float] | None = None) -> PreTrainedModel:
    """Base weights with a new, untrained head of six logits. `config` overrides fields of the base's configuration."""
    labels = {label.id: str(label) for label in LABELS}
    ids = {name: number for number, name in labels.items()}
    kwargs = {"num_labels": len(LABELS), "id2label": labels, "label2id": ids, **(config or {})}
    return AutoModelForSequenceClassification.from_pretrained(base, dtype=dtype, **kwargs)


def load_tokenizer(base: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(base)


class TransformerClassifier(TextClassifier):
    """A detector artefact in floating point, on any device."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.bfloat16, device: str = "cpu") -> None:
        super().__init__(folder)
        self.device, self.tokenizer = device, load_tokenizer(self.base.folder)
        self.model = _overlay(_base_model(self.base.folder, self.manifest), folder, self.manifest.lora_scale).to(device, dtype).eval()

    def tokens(self, texts: Sequence[str]) -> Any:
        """What the model reads: `input_ids` and `attention_mask`, `(batch, longest)`."""
        limit = self.manifest.max_tokens
        return self.tokenizer(list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt")

    @torch.inference_mode()
    def forward(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        batch = self.tokens(texts).to(self.device)
        output = self.model(**batch, output_hidden_states=True)
        mask = batch["attention_mask"].unsqueeze(-1)
        features = (output.hidden_states[-1].float() * mask).sum(1) / mask.sum(1)
        return output.logits.float().cpu(), features.cpu()


def _base_model(base: Path, manifest: DetectorManifest) -> PreTrainedModel:
    """In float32, to be laid over. LoRA was trained on weights in bf16, so it is merged into the same."""
    return blank_model(base, torch.float32 if manifest.lora_scale is None else torch.bfloat16).float()


def _overlay(model: PreTrainedModel, folder: Path, lora_scale: float | None) -> PreTrainedModel:
    """Lays the artefact's tensors over the model. Each must belong to a tensor of the model, and the head must be among them."""
    tensors, own = load_file(folder / DETECTOR_WEIGHTS), model.state_dict()
    whole = {name: tensor for name, tensor in tensors.items() if not name.endswith((LORA_A, LORA_B))}
    for name in {name.removesuffix(LORA_A) for name in tensors if name.endswith(LORA_A)}:
        update = tensors[name + LORA_B].float() @ tensors[name + LORA_A].float()
        whole[name] = own[name] + update * (lora_scale or 1)
    missing, unexpected = model.load_state_dict(whole, strict=False)
    if unexpected or any("classifier" in name or name == "score.weight" for name in missing):
        raise ManifestError(f"{folder.name}: unknown tensors {unexpected[:3]}, or no trained head")
    return model
