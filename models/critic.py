"""Critic: a cross-encoder that scores if an answer makes sense for its conversation.

(conversation, answer) -> tokens of both in one row -> logit; above 0 it makes sense

The artifact holds the tensors that differ from the base weights, matrices in 8-bit rows. It needs
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

from models.encoder.rows import restore_rows
from models.errors import ManifestError
from models.manifest import CriticManifest
from models.prompt import Turn, one_line
from models.weights.cache import Materialized, materialize

BATCH_SIZE = 32
TURNS = 3  # last turns of a conversation that the critic reads


def blank_critic(base: Path) -> PreTrainedModel:
    """Load base weights with a new, untrained head of one logit."""
    return AutoModelForSequenceClassification.from_pretrained(
        base, dtype=torch.float32, num_labels=1, problem_type="multi_label_classification"
    )


def conversation_text(turns: Sequence[Turn]) -> str:
    """Join the last turns of a conversation into the text that the critic reads."""
    return " / ".join(one_line(turn.text) for turn in turns[-TURNS:])


def encode(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], max_tokens: int
) -> Any:
    """Tokenize conversations and answers. A conversation that is too long loses its end."""
    conversations = [conversation for conversation, _ in pairs]
    answers = [answer for _, answer in pairs]
    return tokenizer(conversations, answers, truncation="longest_first", max_length=max_tokens)


def load_critic(manifest: CriticManifest, folder: Path, base: Materialized) -> PreTrainedModel:
    """Load a critic. Raises ManifestError if the artifact does not match its manifest."""
    weights = manifest.check_weights(folder)
    if base.sha256 != manifest.base_hash:
        raise ManifestError(
            f"{folder.name}: base weights {base.name} have sha256 {base.sha256[:12]}, "
            f"expected {manifest.base_hash[:12]}"
        )
    model = blank_critic(base.folder)
    tensors = restore_rows(load_file(weights), torch.float32)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    if unexpected or any("classifier" in name for name in missing):
        raise ManifestError(f"{folder.name}: the tensors do not fit {base.name}")
    return model


class Critic:
    """A critic artifact on a CPU, in float32."""

    def __init__(self, folder: Path) -> None:
        """Load the model. Raises ManifestError if the artifact does not match its manifest."""
        self.manifest = CriticManifest.read(folder)
        base = materialize(self.manifest.base)
        self.tokenizer = AutoTokenizer.from_pretrained(base.folder)
        self.model = load_critic(self.manifest, folder, base).eval()

    @torch.inference_mode()
    def logits(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Score (conversation, answer) pairs, any number of them, in their order."""
        by_length = sorted(range(len(pairs)), key=lambda row: sum(map(len, pairs[row])))
        found = [0.0] * len(pairs)
        for start in range(0, len(pairs), BATCH_SIZE):
            rows = by_length[start : start + BATCH_SIZE]
            encoded = encode(self.tokenizer, [pairs[row] for row in rows], self.manifest.max_tokens)
            batch = self.tokenizer.pad(encoded, return_tensors="pt")
            logits = self.model(**batch).logits[:, 0].tolist()
            for row, logit in zip(rows, logits, strict=True):
                found[row] = logit
        return found

    def pick(self, conversation: str, answers: Sequence[str]) -> int:
        """Return the number of the answer that makes most sense; the first of equals."""
        logits = self.logits([(conversation, answer) for answer in answers])
        return logits.index(max(logits))
