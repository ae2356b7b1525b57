"""MPNet detector in int8 for CPUs, with the same two outputs as in floating point.

ids (batch, tokens) -> packed rows (n, hidden) -> logits (batch, 6), features (batch, hidden)

Each normalization writes its output in quantization steps of the next linear layer, with an
offset that makes it unsigned, so quantizing is mere truncation. See `convert` for the scales.
Needs torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding, layer_norm, linear

from models.detector.int8.layers import Int8Layer
from models.detector.int8.packing import Packing

TOKENS_PER_PASS = 512  # so that intermediate results stay in the processor's caches


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """Dimensions of the encoder."""

    layers: int
    heads: int
    eps: float  # of the normalizations


class Int8Mpnet:
    """Converted detector."""

    def __init__(self, tensors: Mapping[str, Tensor], shape: EncoderShape) -> None:
        """Take the tensors that `convert` wrote."""
        self._word_embeddings = tensors["word_embeddings"]
        self._position_embeddings = tensors["position_embeddings"]
        self._relative_bias = tensors["relative_attention_bias"]
        self._buckets = tensors["relative_position_buckets"]
        self._start_norm = tensors["start.weight"], tensors["start.bias"]
        self._eps = shape.eps
        self._layers = [
            Int8Layer(tensors, str(number), shape.heads, shape.eps)
            for number in range(shape.layers)
        ]
        self._dense = tensors["head.dense.weight"], tensors["head.dense.bias"]
        self._out = tensors["head.out_proj.weight"], tensors["head.out_proj.bias"]

    def __call__(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits `(batch, 6)` and features `(batch, hidden)` of a padded batch."""
        rows = max(1, TOKENS_PER_PASS // ids.shape[1])
        parts = zip(torch.split(ids, rows), torch.split(mask.bool(), rows), strict=True)
        logits, features = zip(*(self._forward(*part) for part in parts), strict=True)
        return torch.cat(logits), torch.cat(features)

    def _forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        longest = int(mask.sum(1).max())
        ids = ids[:, :longest]
        mask = mask[:, :longest]
        packing = Packing(mask, self._attention_bias(longest))
        rows = packing.pack(self._embed(ids))
        rows = layer_norm(rows, rows.shape[-1:], *self._start_norm, self._eps)
        for layer in self._layers:
            rows = layer(rows, packing)
        hidden = packing.unpack(rows)
        logits = linear(torch.tanh(linear(hidden[:, 0], *self._dense)), *self._out)
        return logits, hidden.sum(1) / mask.sum(1, keepdim=True)

    def _attention_bias(self, tokens: int) -> Tensor:
        return self._relative_bias[self._buckets[:tokens, :tokens]].permute(2, 0, 1)

    def _embed(self, ids: Tensor) -> Tensor:
        words = embedding(ids, self._word_embeddings).float()
        return words + self._position_embeddings[: ids.shape[1]]
