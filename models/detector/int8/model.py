"""An MPNet detector in 8-bit integers, for CPUs: the same two results as in floating point, from a quarter of the reading. Needs torch.

ids (batch, tokens) -> tokens that are no padding (n, 768), unsigned bytes before each product -> logits (batch, 6), features (batch, 768)

Each normalisation writes its result in the unit of the bytes, shifted to be unsigned, so that quantising is rounding. `int8_convert`
says how the units are found. The products are torch's own oneDNN operators, which use what the processor has for bytes (VNNI, AMX).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

FEW_TOKENS = 512  # at once: what is between two products stays in the processor's caches


@dataclass(frozen=True, slots=True)
class Shape:
    """Of the encoder; `eps` belongs to its normalisations."""

    layers: int
    heads: int
    eps: float


class Int8Linear:
    """Floating point in the unit of the bytes in; floating point out, or bytes in a unit of their own."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str) -> None:
        ops = torch.ops.onednn
        self._weight = ops.qlinear_prepack(tensors[f"{name}.weight"], None)
        self._scale, self._bias = tensors[f"{name}.scale"], tensors[f"{name}.bias"]
        self._zero = torch.zeros(len(self._scale), dtype=torch.int64)
        self._repeated, self._later = tensors.get(f"{name}.repeated"), tensors.get(f"{name}.later")

    def __call__(self, x: Tensor) -> Tensor:
        """`(n, in)` in the unit of the bytes -> `(n, out)` float32."""
        return self._product(self._bytes(x), 1.0, 0, torch.float32, "none")

    def gelu(self, x: Tensor, unit: float, zero: int) -> Tensor:
        """`(n, in)` in the unit of the bytes -> `(n, out)` uint8: what GELU makes of the result, in its unit."""
        return self._product(self._bytes(x), unit, zero, torch.uint8, "gelu")

    def _bytes(self, x: Tensor) -> Tensor:
        """Cut off, not rounded: `x` brings its half. A repeated channel brings less, so that its bytes step one after the other."""
        if x.dtype == torch.uint8:
            return x
        if self._repeated is None or self._later is None:
            return x.clamp(0, 255).to(torch.uint8)
        again = x.index_select(1, self._repeated).add_(self._later)
        return torch.cat([x, again], 1).clamp_(0, 255).to(torch.uint8)

    def _product(self, bytes_in: Tensor, unit: float, zero: int, dtype: torch.dtype, then: str) -> Tensor:
        found: Tensor = torch.ops.onednn.qlinear_pointwise(
            bytes_in, 1.0, 0, self._weight, self._scale, self._zero, self._bias, unit, zero, dtype, then, [], "none"
        )
        return found


class Int8Layer:
    """One layer of the encoder. What enters and leaves is in the unit of the bytes."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, shape: Shape) -> None:
        self._shape = shape
        self._qkv, self._out, self._up, self._down = (Int8Linear(tensors, f"{name}.{part}") for part in ("qkv", "out", "up", "down"))
        self._middle = tensors[f"{name}.middle.weight"], tensors[f"{name}.middle.bias"]
        self._end = tensors[f"{name}.end.weight"], tensors[f"{name}.end.bias"]
        self._unit, self._middle_unit = tensors[f"{name}.unit"], tensors[f"{name}.middle.unit"]
        self._wide = tuple(tensors[f"{name}.wide.{part}"] for part in ("up", "bias", "down"))
        self._hidden = float(tensors[f"{name}.hidden"][0]), int(tensors[f"{name}.hidden"][1])

    def __call__(self, x: Tensor, places: "Places") -> Tensor:
        """`(n, hidden)` -> the same."""
        mixed = places.attend(self._qkv(x), self._shape.heads)
        residual = torch.addcmul(self._out(mixed), x, self._unit)
        x = nn.functional.layer_norm(residual, residual.shape[-1:], *self._middle, self._shape.eps)
        down = self._down(self._up.gelu(x, *self._hidden))
        up, bias, back = self._wide  # the few neurons that reach far beyond the others, in floating point
        down.addmm_(nn.functional.gelu(nn.functional.linear(x, up, bias)), back)
        residual = down.addcmul_(x, self._middle_unit)
        return nn.functional.layer_norm(residual, residual.shape[-1:], *self._end, self._shape.eps)


class Places:
    """Where the tokens of a padded batch stand in a row without padding, and who attends to whom."""

    def __init__(self, mask: Tensor, bias: Tensor) -> None:
        """`mask` `(batch, tokens)` is false where there is padding; `bias` `(heads, tokens, tokens)` is of relative positions."""
        self._shape = tuple(mask.shape)
        self._kept = None if bool(mask.all()) else mask.flatten().nonzero()[:, 0]
        each = bias.expand(len(mask), *bias.shape)
        self._bias = each if self._kept is None else each.masked_fill(~mask[:, None, None], -1e4)

    def rows(self, padded: Tensor) -> Tensor:
        """`(batch, tokens, ...)` -> `(n, ...)`."""
        flat = padded.flatten(0, 1)
        return flat if self._kept is None else flat.index_select(0, self._kept)

    def padded(self, rows: Tensor) -> Tensor:
        """`(n, width)` -> `(batch, tokens, width)`, with zeros for the padding."""
        if self._kept is None:
            return rows.view(*self._shape, -1)
        whole = rows.new_zeros(self._shape[0] * self._shape[1], rows.shape[1])
        return whole.index_copy_(0, self._kept, rows).view(*self._shape, -1)

    def attend(self, qkv: Tensor, heads: int) -> Tensor:
        """`(n, 3 * hidden)` -> `(n, hidden)`."""
        query, key, value = self.padded(qkv).view(*self._shape, 3, heads, -1).permute(2, 0, 3, 1, 4)
        found = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=self._bias)
        return self.rows(found.transpose(1, 2).flatten(2))


class Int8Mpnet:
    """A converted detector."""

    def __init__(self, tensors: Mapping[str, Tensor], shape: Shape) -> None:
        self._words, self._positions = tensors["words"], tensors["positions"]
        self._buckets, self._bias = tensors["buckets"], tensors["bias"]
        self._start, self._shape = (tensors["start.weight"], tensors["start.bias"]), shape
        self._layers = [Int8Layer(tensors, str(number), shape) for number in range(shape.layers)]
        self._head = tuple(tensors[f"head.{part}"] for part in ("dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias"))

    def __call__(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `(batch, 6)` and features `(batch, hidden)` of ids and a mask `(batch, tokens)`."""
        few = max(1, FEW_TOKENS // ids.shape[1])
        read = [self._read(part, kept.bool()) for part, kept in zip(torch.split(ids, few), torch.split(mask, few), strict=True)]
        return torch.cat([logits for logits, _ in read]), torch.cat([features for _, features in read])

    def _read(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        longest = int(mask.sum(1).max())
        ids, mask = ids[:, :longest], mask[:, :longest]
        places = Places(mask, self._bias[self._buckets[:longest, :longest]].permute(2, 0, 1))
        words = nn.functional.embedding(ids, self._words).float() + self._positions[:longest]
        rows = places.rows(words)
        rows = nn.functional.layer_norm(rows, rows.shape[-1:], *self._start, self._shape.eps)
        for layer in self._layers:
            rows = layer(rows, places)
        whole = places.padded(rows)
        dense, dense_bias, out, out_bias = self._head
        logits = nn.functional.linear(torch.tanh(nn.functional.linear(whole[:, 0], dense, dense_bias)), out, out_bias)
        return logits, whole.sum(1) / mask.sum(1, keepdim=True)
