"""The detector: base weights with the trained tensors laid over them, or merged into them where they are LoRA. Needs torch.

texts -> tokens, padded to the longest -> logits (batch, 6) -> softmax at the fitted temperature -> scores (batch, 6)
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from models.emotions import LABELS
from models.errors import ManifestError
from models.hashing import file_sha256
from models.manifest import DETECTOR_WEIGHTS, DetectorManifest
from models.materialize import materialize

NORMAL_BATCH = 64
LORA_A, LORA_B = ".lora_A", ".lora_B"  # endings of the two halves of an update to the tensor whose name stands before them


def blank_model(base: Path, dtype: torch.dtype = torch.float32, config: dict[str, float] | None = None) -> PreTrainedModel:
    """Base weights with a new, untrained head of six logits. `config` overrides fields of the base's configuration."""
    labels = {label.id: str(label) for label in LABELS}
    ids = {name: number for number, name in labels.items()}
    kwargs = {"num_labels": len(LABELS), "id2label": labels, "label2id": ids, **(config or {})}
    return AutoModelForSequenceClassification.from_pretrained(base, dtype=dtype, **kwargs)


def load_tokenizer(base: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(base)


class TextClassifier(ABC):
    """A detector artefact, whatever computes it. Raises ManifestError if the artefact is not what its manifest says."""

    def __init__(self, folder: Path) -> None:
        self.manifest = DetectorManifest.read(folder)
        if file_sha256(folder / DETECTOR_WEIGHTS) != self.manifest.content_hash:
            raise ManifestError(f"{folder.name}: the weights are not those of the manifest")
        self.base = materialize(self.manifest.base)
        if self.base.sha256 != self.manifest.base_hash:
            raise ManifestError(f"{folder.name}: trained on other base weights than {self.base.name} {self.base.sha256[:12]}")
        self.tokenizer = load_tokenizer(self.base.folder)

    @abstractmethod
    def read(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Float32 logits `(batch, 6)`, and features `(batch, hidden)`: the last layer's mean over the tokens of each text."""

    def tokens(self, texts: Sequence[str]) -> Any:
        """What the model reads: `input_ids` and `attention_mask`, `(batch, longest)`."""
        limit = self.manifest.max_tokens
        return self.tokenizer(list(texts), padding=True, truncation=True, max_length=limit, return_tensors="pt")

    def logits(self, texts: Sequence[str]) -> torch.Tensor:
        """Float32 logits, `(batch, 6)`, in the order of the texts."""
        return self.read(texts)[0]

    def scores(self, texts: Sequence[str]) -> torch.Tensor:
        """Calibrated probabilities, `(batch, 6)`."""
        return self.calibrated(self.logits(texts))

    def calibrated(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities of logits, at the fitted temperature."""
        return torch.softmax(logits / self.manifest.temperature, dim=-1)

    def all_logits(self, texts: Sequence[str]) -> torch.Tensor:
        """Logits of any number of texts, `(len(texts), 6)`: batches of similar length, results in the order given."""
        return self._all(texts)[0] if texts else torch.empty(0, len(LABELS))

    def all_features(self, texts: Sequence[str]) -> np.ndarray:
        """Features of at least one text, `(len(texts), hidden)`, in the same way."""
        return self._all(texts)[1].numpy()

    def _all(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        read = [self.read([texts[i] for i in order[start : start + NORMAL_BATCH]]) for start in range(0, len(order), NORMAL_BATCH)]
        back = torch.tensor(order).argsort()
        return torch.cat([logits for logits, _ in read])[back], torch.cat([features for _, features in read])[back]


class Classifier(TextClassifier):
    """A detector artefact in floating point, on any device."""

    def __init__(self, folder: Path, dtype: torch.dtype = torch.bfloat16, device: str = "cpu") -> None:
        super().__init__(folder)
        self.device = device
        self.model = _overlay(_base_model(self.base.folder, self.manifest), folder, self.manifest.lora_scale).to(device, dtype).eval()

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
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
