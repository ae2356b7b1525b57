"""BERT encoder for inference only.

ids, types, mask (batch, tokens) -> hidden states (batch, tokens, width)

It reads the tensors under transformers' names and computes what it computes, without the three
seconds and 0.2 GiB that importing it costs. Needs torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn.functional import embedding, gelu, layer_norm, linear, scaled_dot_product_attention

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Dimensions of the encoder."""

    layers: int
    heads: int
    eps: float  # of the normalizations

    @classmethod
    def read(cls, base: Path) -> "EncoderShape":
        """Read the shape of base weights in the transformers layout."""
        config = json.loads((base / "config.json").read_text("utf-8"))
        return cls(
            config["num_hidden_layers"], config["num_attention_heads"], config["layer_norm_eps"]
        )


class BertEncoder:
    """Encoder with loaded weights."""

    def __init__(self, tensors: Tensors, shape: EncoderShape) -> None:
        """Take the tensors of a `BertModel`, all of one type."""
        self._tensors = tensors
        self._shape = shape

    def __call__(self, ids: Tensor, types: Tensor, mask: Tensor) -> Tensor:
        """Return hidden states of the last layer. `mask` is false for padding."""
        x = self._embed(ids, types)
        attended = mask[:, None, None, :]
        for number in range(self._shape.layers):
            x = self._layer(f"encoder.layer.{number}", x, attended)
        return x

    def _embed(self, ids: Tensor, types: Tensor) -> Tensor:
        words = embedding(ids, self._tensors["embeddings.word_embeddings.weight"])
        positions = self._tensors["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kinds = embedding(types, self._tensors["embeddings.token_type_embeddings.weight"])
        return self._norm("embeddings.LayerNorm", words + positions + kinds)

    def _layer(self, name: str, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            self._linear(f"{name}.attention.self.{part}", x)
            .view(*x.shape[:2], self._shape.heads, -1)
            .transpose(1, 2)
            for part in ("query", "key", "value")
        )
        attended = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        joined = attended.transpose(1, 2).flatten(2)
        attended = self._linear(f"{name}.attention.output.dense", joined)
        x = self._norm(f"{name}.attention.output.LayerNorm", attended + x)
        hidden = gelu(self._linear(f"{name}.intermediate.dense", x))
        hidden = self._linear(f"{name}.output.dense", hidden)
        return self._norm(f"{name}.output.LayerNorm", hidden + x)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return linear(x, self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight = self._tensors[f"{name}.weight"]
        return layer_norm(x, weight.shape, weight, self._tensors[f"{name}.bias"], self._shape.eps)
