"""Quantization of activations: scale and number of copies of each input channel.

A few channels of such encoders have values forty times as large as the others (Dettmers et al.
2022, https://arxiv.org/abs/2208.07339), so each channel has its own scale, and the weights of the
linear layer are multiplied by it. A channel with large weights is copied: k copies have a k-th of
the weights each and are rounded a k-th of a step apart, which makes the step k times finer
(Hermite's identity). Needs torch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

ZERO_POINT = 128  # the uint8 value that stands for 0
EXTRA_COPIES = 64  # per linear layer; keeps the width a multiple of the processor's vector width
ABSMAX_MARGIN = 1.4  # values up to this multiple of the calibrated maximum are not clipped
# Channels with more than two copies have a fine step anyway and get more room before clipping.
OUTLIER_COPIES = 2
OUTLIER_MARGIN = 1.7
HEAD_SHARE = 0.8  # assumed maximum of a channel, as a share of the largest in its attention head


@dataclass(frozen=True, slots=True)
class InputQuantization:
    """Quantization of the input of one linear layer.

    Attributes:
        scale: size of one quantization step per channel, `(channels,)`.
        copies: number of copies per channel, `(channels,)`.
    """

    scale: Tensor
    copies: Tensor

    @property
    def offset(self) -> Tensor:
        """Offset in steps that makes values unsigned and makes truncation round them."""
        return ZERO_POINT + 0.5 / self.copies


def quantize_input(weight: Tensor, absmax: Tensor, extra_copies: int = 0) -> InputQuantization:
    """Choose the quantization of a linear layer's input.

    `weight` is `(out, channels)` and `absmax` is `(channels,)`. A channel with small values gets
    no finer scale than the median channel.
    """
    scale = torch.maximum(absmax, absmax.median()) * ABSMAX_MARGIN / (ZERO_POINT - 1)
    copies = channel_copies((weight * scale).abs().amax(0), extra_copies)
    scale = torch.where(copies > OUTLIER_COPIES, scale * OUTLIER_MARGIN, scale)
    return InputQuantization(scale, copies)


def quantize_attention_output(weight: Tensor, absmax: Tensor, heads: int) -> InputQuantization:
    """Choose the quantization of the attention output, the input of the output projection.

    Attention outputs are small except for a few outlier tokens. This is the cheapest linear
    layer, so as many copies are added as there are channels.
    """
    per_head = absmax.view(heads, -1)
    largest = per_head.amax(1, keepdim=True).expand_as(per_head).flatten()
    return quantize_input(weight, torch.maximum(absmax, largest * HEAD_SHARE), len(absmax))


def channel_copies(magnitude: Tensor, extra_copies: int) -> Tensor:
    """Distribute copies: the channel with the largest magnitude per copy gets the next one."""
    copies = torch.ones_like(magnitude)
    for _ in range(extra_copies):
        copies[(magnitude / copies).argmax()] += 1
    return copies
