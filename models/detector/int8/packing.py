"""Conversion between padded batches and packed rows without padding tokens. Needs torch."""

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

MASKED = -1e4  # attention bias of padding tokens


class Packing:
    """Positions of a batch's tokens, for linear layers without padding and attention with it."""

    def __init__(self, mask: Tensor, bias: Tensor) -> None:
        """Compute the positions of the tokens.

        `mask` `(batch, tokens)` is false for padding; `bias` `(heads, tokens, tokens)` is the
        attention bias of relative positions.
        """
        self._shape = tuple(mask.shape)
        self._kept: Tensor | None = None
        self._bias = bias.expand(len(mask), *bias.shape)
        if not bool(mask.all()):
            self._kept = mask.flatten().nonzero()[:, 0]
            self._bias = self._bias.masked_fill(~mask[:, None, None], MASKED)

    def pack(self, padded: Tensor) -> Tensor:
        """Convert `(batch, tokens, ...)` to `(n, ...)`."""
        flat = padded.flatten(0, 1)
        return flat if self._kept is None else flat.index_select(0, self._kept)

    def unpack(self, rows: Tensor) -> Tensor:
        """Convert `(n, width)` to `(batch, tokens, width)`, with zeros for the padding."""
        if self._kept is None:
            return rows.view(*self._shape, -1)
        padded = rows.new_zeros(self._shape[0] * self._shape[1], rows.shape[1])
        return padded.index_copy_(0, self._kept, rows).view(*self._shape, -1)

    def attention(self, qkv: Tensor, heads: int) -> Tensor:
        """Compute attention within each text: `(n, 3 * hidden)` to `(n, hidden)`."""
        split = self.unpack(qkv).view(*self._shape, 3, heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        output = scaled_dot_product_attention(query, key, value, attn_mask=self._bias)
        return self.pack(output.transpose(1, 2).flatten(2))
