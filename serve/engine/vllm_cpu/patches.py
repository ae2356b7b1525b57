"""All attributes of vLLM and torch that this package replaces.

vLLM 0.32 has no extension point for them. The version guard in compat.py runs first: `plugin`
calls these functions only on a supported version, and `RowWiseLora` exists only there.

| function | replaced attribute |
|---|---|
| load_compiled_models | torch.compiler.load_compiled_function |
| replace_sampler | TopKTopPSampler.forward_cpu |
| replace_lm_head | UnquantizedEmbeddingMethod.process_weights_after_loading |
| hook_lora_layers | BaseLinearLayerWithLoRA.set_mapping, LoRAModelManager.activate_adapter |
"""

from functools import cache
from typing import Any

import torch

from serve.engine.vllm_cpu.lm_head import Int8LMHead, is_large
from serve.engine.vllm_cpu.lora_kernel import lay_out, used_rank
from serve.engine.vllm_cpu.sampling import random_uniform, sample


def load_compiled_models() -> None:
    """Let vLLM load a compiled model from its cache on a CPU.

    After loading, vLLM 0.32 calls `finalize_loading`, which only code of its own backend has. On a
    CPU the code is a function of Inductor, so loading fails and vLLM compiles at every start.
    """
    load = torch.compiler.load_compiled_function

    def load_and_complete(*args: Any, **kwargs: Any) -> Any:
        loaded: Any = load(*args, **kwargs)
        code = loaded._artifacts.compiled_fn
        if not hasattr(code, "finalize_loading"):
            code.finalize_loading = lambda _vllm_config: None  # Inductor's function is complete
        return loaded

    torch.compiler.load_compiled_function = load_and_complete


def replace_sampler() -> None:
    """Sample on a CPU without sorting the vocabulary."""
    from vllm.v1.sample.ops.topk_topp_sampler import PROCESSED_LOGPROBS_MODES, TopKTopPSampler

    stock = TopKTopPSampler.forward_cpu

    def forward_cpu(self: Any, logits: Any, generators: Any, k: Any, p: Any) -> Any:
        if self.use_fp64_gumbel or self.logprobs_mode in PROCESSED_LOGPROBS_MODES:
            return stock(self, logits, generators, k, p)  # these modes need the whole row
        return sample(logits, k, p, random_uniform(len(logits), generators)), None

    TopKTopPSampler.forward_cpu = forward_cpu


def replace_lm_head() -> None:
    """Use the int8 LM head for large vocabularies."""
    from vllm.model_executor.layers.vocab_parallel_embedding import UnquantizedEmbeddingMethod

    stock = UnquantizedEmbeddingMethod.process_weights_after_loading

    def process_weights_after_loading(self: Any, layer: Any) -> None:
        if is_large(layer.weight):
            layer.cpu_linear = Int8LMHead(layer.weight)  # vLLM's `apply` calls it
        else:
            stock(self, layer)

    UnquantizedEmbeddingMethod.process_weights_after_loading = process_weights_after_loading


@cache
def hook_lora_layers() -> None:
    """Prepare the weights of LoRA layers for the row-wise operator; once in a process.

    A layer's B gets its memory order when the layer is made, before any adapter is loaded. The
    rank that a slot uses is measured when an adapter is activated.
    """
    from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
    from vllm.lora.model_manager import LoRAModelManager

    set_mapping = BaseLinearLayerWithLoRA.set_mapping
    activate_adapter = LoRAModelManager.activate_adapter

    def set_mapping_and_lay_out(layer: Any, punica_wrapper: Any) -> None:
        set_mapping(layer, punica_wrapper)
        layer.lora_b_stacked = tuple(lay_out(b) for b in layer.lora_b_stacked)

    def activate_and_measure(manager: Any, lora_id: int) -> bool:
        activated: bool = activate_adapter(manager, lora_id)
        if activated:  # False when it is active already: vLLM asks for every adapter in every step
            layers = (
                layer
                for layer in manager.modules.values()
                if isinstance(layer, BaseLinearLayerWithLoRA)
            )
            measure_ranks(manager, list(layers), manager.lora_index_to_id.index(lora_id))
        return activated

    BaseLinearLayerWithLoRA.set_mapping = set_mapping_and_lay_out
    LoRAModelManager.activate_adapter = activate_and_measure


def measure_ranks(manager: Any, layers: list[Any], slot: int) -> None:
    """Tell each wrapper the largest rank that its layers use in a slot."""
    for wrapper in manager.punica_wrapper_mapping.values():
        stacked = (layer.lora_a_stacked for layer in layers if layer.punica_wrapper is wrapper)
        wrapper.ranks[slot] = max((used_rank(a, slot) for a in stacked), default=0)
