"""vLLM's hooks for the operator of `cpu_lora_kernel`: what each batch and each load tells it. Imported by `cpu_lora.install` alone.

batch -> `update_metadata`: each row's slot, once per step, for all layers
load  -> `activate_adapter`: the rank in use; B's memory order is set when the layers are made
layer -> `add_lora_linear`: y += the row's own adapter
"""

from functools import cache
from typing import Any

import torch
from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from vllm.utils.torch_utils import direct_register_custom_op

from serve.engine.vllm_cpu.lora_kernel import add_lora_, lay_out, used_rank

LIBRARY = torch.library.Library("fye", "FRAGMENT")  # type: ignore[no-untyped-call]


class RowWiseLora(PunicaWrapperCPU):  # type: ignore[misc]
    """Applies adapters row by row; a row without one stays the base's (stock vLLM adds the last slot's, vLLM PR #48421)."""

    def __init__(self, *args: Any, lora_config: Any, **kwargs: Any) -> None:
        hook_layers()
        super().__init__(*args, lora_config=lora_config, **kwargs)
        self._token_lora_indices.fill_(-1)  # it comes uninitialised, and is read where a dummy run has more rows than the last batch
        self.ranks = torch.zeros(lora_config.max_loras, dtype=torch.long)

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        super().update_metadata(*args, **kwargs)
        self._token_lora_indices[self.indices_len[0] :] = -1

    def add_lora_linear(
        self, y: torch.Tensor, x: torch.Tensor, lora_a_stacked: tuple[torch.Tensor, ...], lora_b_stacked: tuple[torch.Tensor, ...],
        scale: float, output_slices: tuple[int, ...], **kwargs: Any,
    ) -> None:  # fmt: skip
        """A LoRA's scale is in its B already: vLLM passes 1 here."""
        torch.ops.fye.add_lora_(y, x, list(lora_a_stacked), list(lora_b_stacked), self._token_lora_indices, self.ranks)

    def add_lora_logits(self, y: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        bare = self.sampler_indices < 0
        kept = y[bare]
        super().add_lora_logits(y, *args, **kwargs)
        y[bare] = kept

    def add_lora_embedding(self, y: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        bare = self.token_lora_indices < 0
        kept = y[bare]
        super().add_lora_embedding(y, *args, **kwargs)
        y[bare] = kept


@cache
def hook_layers() -> None:
    """Once in a process. Every layer gets its wrapper right after its weights were made, and its adapters from `activate_adapter`."""
    direct_register_custom_op("add_lora_", add_lora_, ["y"], lambda *_: None, LIBRARY, "CPU")
    set_mapping, activate_adapter = BaseLinearLayerWithLoRA.set_mapping, LoRAModelManager.activate_adapter

    def lay_out_once(layer: Any, punica_wrapper: Any) -> None:
        set_mapping(layer, punica_wrapper)
        layer.lora_b_stacked = tuple(lay_out(b) for b in layer.lora_b_stacked)

    def note_rank(manager: Any, lora_id: int) -> bool:
        activated: bool = activate_adapter(manager, lora_id)
        if activated:  # vLLM asks for every adapter of a batch, in every step
            slot = manager.lora_index_to_id.index(lora_id)
            layers = [layer for layer in manager.modules.values() if isinstance(layer, BaseLinearLayerWithLoRA)]
            for wrapper in manager.punica_wrapper_mapping.values():
                ours = (layer.lora_a_stacked for layer in layers if layer.punica_wrapper is wrapper)
                wrapper.ranks[slot] = max((used_rank(a, slot) for a in ours), default=0)
        return activated

    BaseLinearLayerWithLoRA.set_mapping, LoRAModelManager.activate_adapter = lay_out_once, note_rank
