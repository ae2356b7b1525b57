"""int8 LM head for CPUs, with exact logits for the most likely tokens.

Gemma's LM head has a row for each of 262,144 tokens: 335 of the 536 MB of weights that Gemma 3 270M
reads for a token. In int8 it is half of that, and processors multiply int8 twice as fast as bf16.
The logits of the `EXACT` most likely tokens of each row are computed again from the weights in
float32, which is more precise than vLLM's own bf16. All others have the error of int8 rounding.

Method: symmetric 8 bits with a scale for each row of the weights and of the input (Dettmers et al.
2022, arXiv:2208.07339, without outliers), and exact reranking of the best candidates, as vector
indexes do (Jegou et al. 2011, https://doi.org/10.1109/ICASSP.2011.5946540).

Shapes: x (rows, hidden), weight (vocabulary, hidden), logits (rows, vocabulary).
"""

import torch

from serve.engine.vllm_cpu.sampling import top_logits

MIN_VOCABULARY = 65_536  # a smaller LM head is not what takes the time of a step
EXACT = 128  # tokens of each row whose logits are computed exactly
ZERO_POINT = 128  # the processor multiplies unsigned input by signed weights
QUANTIZE_ROWS = 8_192  # rows of the weights at a time, to limit the memory for float32 copies
INT8_MAX = 127


def is_large(weight: torch.Tensor) -> bool:
    """Tell whether a weight is a large LM head on a CPU, in bf16 or float32."""
    on_cpu = weight.device.type == "cpu" and weight.dtype in {torch.bfloat16, torch.float32}
    return on_cpu and len(weight) >= MIN_VOCABULARY


class Int8LMHead:
    """LM head that vLLM calls as it calls its own product."""

    def __init__(self, weight: torch.Tensor) -> None:
        """Quantize and pack the weight. It is not kept; vLLM passes it to each call."""
        # The dtypes are explicit because vLLM sets another default while it loads a model.
        self.scale = torch.empty(len(weight), dtype=torch.float32)
        int8_weight = torch.empty(weight.shape, dtype=torch.int8)
        for start in range(0, len(weight), QUANTIZE_ROWS):
            part = slice(start, start + QUANTIZE_ROWS)
            int8_weight[part], self.scale[part] = quantize_rows(weight[part].float())
        row_sums = int8_weight.sum(1, dtype=torch.int32)
        self._zero_point_correction = -ZERO_POINT * row_sums * self.scale
        self._weight_zero_points = torch.zeros(len(weight), dtype=torch.int64)
        self._packed = torch.ops.onednn.qlinear_prepack(int8_weight, None)

    def __call__(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return float32 logits. `weight` is what was quantized."""
        rows = x.reshape(-1, x.shape[-1]).float()
        logits = self.int8_logits(rows)
        _, tokens = top_logits(logits, min(EXACT, len(weight)))
        exact = torch.bmm(weight[tokens].float(), rows[:, :, None])[:, :, 0]
        logits.scatter_(1, tokens, exact)
        if bias is not None:
            logits += bias
        return logits.view(*x.shape[:-1], -1)

    def int8_logits(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the logits of float32 rows from the int8 weights alone."""
        values, scales = quantize_rows(rows)
        unsigned = (values.to(torch.int16) + ZERO_POINT).to(torch.uint8)
        logits: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, 0, self._packed, self.scale, self._weight_zero_points,
            self._zero_point_correction, 1.0, 0, torch.float32, "none", [], "none",
        )  # fmt: skip
        return logits.mul_(scales[:, None])


def quantize_rows(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize float32 rows to int8. Returns the values and the scale of each row, (rows,)."""
    absmax = rows.abs().amax(1).clamp_(min=torch.finfo(torch.float32).tiny)
    scales = absmax / INT8_MAX
    return (rows / scales[:, None]).round_().to(torch.int8), scales
