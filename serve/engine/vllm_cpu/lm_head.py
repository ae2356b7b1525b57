"""A plugin of vLLM: the output head on a CPU in bytes, and the logits of the likeliest tokens once more from the weights as they are.

Gemma's head has a row for each of 262,144 tokens: of the 536 MB of weights that a token of Gemma 3 270M needs, 335 are read here. In bytes
it is half of that, and processors multiply bytes twice as fast as bf16. What that changes is put right where it matters: the logits of
the `EXACT` likeliest tokens of each row are computed anew from the bf16 weights, in float32, where vLLM's own are rounded to bf16. All
others are off by the rounding to bytes. `FYE_CPU_HEAD=0` turns it off.

Method: symmetric 8 bits, a unit for each row of weights and of the input (Dettmers et al. 2022, arXiv:2208.07339, without outliers), and
reranking of the best by exact products, as vector indexes do (Jegou et al. 2011, https://doi.org/10.1109/ICASSP.2011.5946540).

Shapes: x (rows, hidden), weight (vocabulary, hidden), logits (rows, vocabulary).
"""

import logging
from typing import Any

import torch

from models.detector.int8.cache import has_int8_dot_product
from serve.engine.vllm_cpu.compat import unfit
from serve.engine.vllm_cpu.sampling import likeliest

log = logging.getLogger(__name__)
SWITCH = "FYE_CPU_HEAD"
LEAST_VOCABULARY = 65_536  # a smaller head is not what a step waits for
EXACT = 128  # tokens of each row whose logits are computed in full
SHIFT = 128  # the input's bytes are unsigned, for that is what the processor multiplies
ROWS_AT_ONCE = 8_192  # of the weights, while their bytes are made


def install() -> None:
    """vLLM calls it in each of its processes."""
    reason = unfit(SWITCH) or (None if has_int8_dot_product() else "the processor does not multiply bytes")
    if reason:
        log.warning("the head on a CPU is vLLM's own: %s", reason)
        return
    from vllm.model_executor.layers.vocab_parallel_embedding import UnquantizedEmbeddingMethod

    stock = UnquantizedEmbeddingMethod.process_weights_after_loading

    def process_weights_after_loading(self: Any, layer: Any) -> None:
        weight = layer.weight
        if weight.device.type == "cpu" and weight.dtype is torch.bfloat16 and len(weight) >= LEAST_VOCABULARY:
            layer.cpu_linear = ByteHead(weight)  # what vLLM's `apply` calls
        else:
            stock(self, layer)

    UnquantizedEmbeddingMethod.process_weights_after_loading = process_weights_after_loading


class ByteHead:
    """A head's product, called as vLLM calls its own."""

    def __init__(self, weight: torch.Tensor) -> None:
        self.scale = torch.empty(len(weight), dtype=torch.float32)  # vLLM has another default while it loads
        whole = torch.empty(weight.shape, dtype=torch.int8)
        for start in range(0, len(weight), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            whole[part], self.scale[part] = as_bytes(weight[part].float())
        self._shift = -SHIFT * whole.sum(1, dtype=torch.int32) * self.scale
        self._zero = torch.zeros(len(weight), dtype=torch.int64)
        self._packed = torch.ops.onednn.qlinear_prepack(whole, None)

    def __call__(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Float32 logits. `weight` is the one that the bytes were made of."""
        rows = x.reshape(-1, x.shape[-1]).float()
        logits = self.rough(rows)
        _, tokens = likeliest(logits, min(EXACT, len(weight)))
        logits.scatter_(1, tokens, torch.bmm(weight[tokens].float(), rows[:, :, None])[:, :, 0])
        if bias is not None:
            logits += bias
        return logits.view(*x.shape[:-1], -1)

    def rough(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits from bytes alone, of float32 rows."""
        numbers, units = as_bytes(rows)
        unsigned = (numbers.to(torch.int16) + SHIFT).to(torch.uint8)
        found: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, 0, self._packed, self.scale, self._zero, self._shift, 1.0, 0, torch.float32, "none", [], "none"
        )
        return found.mul_(units[:, None])


def as_bytes(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Signed bytes of float32 rows, and the unit of each row, `(rows,)`: what a step of one is worth."""
    units = rows.abs().amax(1).clamp_(min=torch.finfo(torch.float32).tiny) / 127
    return (rows / units[:, None]).round_().to(torch.int8), units
