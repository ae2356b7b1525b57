"""Trainable safety classifier: a BERT encoder, a pooling of its last layer, and a linear head.

`models.encoder.bert` computes the same for serving.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel

from models.manifest import Pooling
from models.safety.levels import OUTCOMES
from models.safety.pooling import pool


class SafetyModel(nn.Module):
    """Encoder and head. The word embeddings and the first layers are frozen."""

    def __init__(self, base: Path, frozen_layers: int, pooling: Pooling = "mean") -> None:
        """Load base weights in float32 with a new head."""
        super().__init__()
        self.bert = AutoModel.from_pretrained(base, dtype=torch.float32, add_pooling_layer=False)
        self.pooling: Pooling = pooling
        self.classifier = nn.Linear(self.bert.config.hidden_size, len(OUTCOMES))
        self.bert.embeddings.requires_grad_(False)
        for layer in self.bert.encoder.layer[:frozen_layers]:
            layer.requires_grad_(False)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
    ) -> dict[str, Any]:
        """Return `logits` and `loss`, if `labels` `(batch, outcomes)` have 1 for a right outcome.

        The other inputs are `(batch, tokens)`.
        """
        output = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        pooled = pool(output.last_hidden_state, attention_mask, self.pooling)
        logits = self.classifier(pooled)
        return {"logits": logits} | (
            {} if labels is None else {"loss": outcome_loss(logits, labels)}
        )

    def trained_tensors(self) -> dict[str, Tensor]:
        """Return the tensors that differ from the base weights."""
        return {name: one for name, one in self.named_parameters() if one.requires_grad}


def outcome_loss(logits: Tensor, right: Tensor) -> Tensor:
    """Return the mean of -log P(a right outcome).

    `logits` and `right` are `(batch, outcomes)`; `right` is 1 for each right outcome, else 0.
    """
    joint = (torch.log_softmax(logits.float(), dim=-1) + right.log()).logsumexp(dim=-1)
    return -joint.mean()
