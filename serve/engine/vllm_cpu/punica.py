"""vLLM's LoRA wrapper for the operator of `lora_kernel`. vLLM imports it by name.

batch   -> `update_metadata`: the slot of each row, once per step, for all layers
adapter -> `hook_lora_layers`: the rank in use of its slot
layer   -> `add_lora_linear`: y += the row's own adapter
"""

from functools import cache
from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from vllm.utils.torch_utils import direct_register_custom_op

from serve.engine.vllm_cpu.lora_kernel import add_lora_
from serve.engine.vllm_cpu.patches import hook_lora_layers

LIBRARY = torch.library.Library("fye", "FRAGMENT")  # type: ignore[no-untyped-call]
NO_ADAPTER = -1


class RowWiseLora(PunicaWrapperCPU):  # type: ignore[misc]
    """Applies adapters row by row and leaves rows without an adapter unchanged.

    Stock vLLM adds the last slot's adapter to rows without one (vLLM PR #48421).

    Attributes:
        ranks: rank in use of each slot, (slots,), 0 for an empty one.
    """

    def __init__(self, *args: Any, lora_config: Any, **kwargs: Any) -> None:
        """Register the operator and the layer hooks, and mark every row as without an adapter."""
        register_operator()
        hook_lora_layers()
        super().__init__(*args, lora_config=lora_config, **kwargs)
        # vLLM leaves it uninitialised. A dummy run with more rows than the last batch reads it.
        self._token_lora_indices.fill_(NO_ADAPTER)
        self.ranks = torch.zeros(lora_config.max_loras, dtype=torch.long)

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Set the slot of each row of the next step."""
        super().update_metadata(*args, **kwargs)
        self._token_lora_indices[self.indices_len[0] :] = NO_ADAPTER

    def add_lora_linear(  # noqa: PLR0913, PLR0917 (vLLM's signature)
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        lora_a_stacked: tuple[torch.Tensor, ...],
        lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **kwargs: Any,
    ) -> None:
        """Add each row's adapter to y in place. `scale` is 1, because B includes the scale."""
        a, b = list(lora_a_stacked), list(lora_b_stacked)
        torch.ops.fye.add_lora_(y, x, a, b, self._token_lora_indices, self.ranks)

    def add_lora_logits(self, y: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """Add adapters of the LM head, and restore the rows without an adapter."""
        without_adapter = self.sampler_indices < 0
        kept = y[without_adapter]
        super().add_lora_logits(y, *args, **kwargs)
        y[without_adapter] = kept

    def add_lora_embedding(self, y: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """Add adapters of the embedding, and restore the rows without an adapter."""
        without_adapter = self.token_lora_indices < 0
        kept = y[without_adapter]
        super().add_lora_embedding(y, *args, **kwargs)
        y[without_adapter] = kept


@cache
def register_operator() -> None:
    """Register `fye::add_lora_` as one opaque operator, which Dynamo does not look into."""
    direct_register_custom_op("add_lora_", add_lora_, ["y"], lambda *_: None, LIBRARY, "CPU")
