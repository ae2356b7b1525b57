"""Replaced attributes of vLLM and torch, each against the installed vLLM or a stand-in of it."""

import inspect
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from serve.engine.vllm_cpu import patches
from serve.engine.vllm_cpu.lm_head import MIN_VOCABULARY

HEADS = "vllm.model_executor.layers.vocab_parallel_embedding"


def test_the_replaced_attributes_exist_with_the_expected_parameters() -> None:
    """A new vLLM that changes one of them fails here, before it fails in an engine."""
    from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA
    from vllm.lora.model_manager import LoRAModelManager
    from vllm.model_executor.layers.vocab_parallel_embedding import UnquantizedEmbeddingMethod
    from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler

    expected = {
        TopKTopPSampler.forward_cpu: ["self", "logits", "generators", "k", "p"],
        UnquantizedEmbeddingMethod.process_weights_after_loading: ["self", "layer"],
        BaseLinearLayerWithLoRA.set_mapping: ["self", "punica_wrapper"],
        LoRAModelManager.activate_adapter: ["self", "lora_id"],
    }
    for function, parameters in expected.items():
        assert list(inspect.signature(function).parameters) == parameters
    assert callable(torch.compiler.load_compiled_function)


def test_sampler_draws_with_our_operator_and_falls_back_when_it_needs_the_whole_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vllm.v1.sample.ops.topk_topp_sampler import TopKTopPSampler

    monkeypatch.setattr(TopKTopPSampler, "forward_cpu", lambda *_: "stock")
    patches.replace_sampler()
    logits = torch.full((2, 300), float("-inf"))
    logits[:, 7] = 1.0
    for mode, fp64, ours in (
        ("raw_logprobs", False, True),
        ("raw_logprobs", True, False),
        ("processed_logprobs", False, False),
    ):
        sampler = SimpleNamespace(use_fp64_gumbel=fp64, logprobs_mode=mode)
        found = TopKTopPSampler.forward_cpu(sampler, logits, {}, None, None)
        assert (found[0].tolist() == [7, 7]) if ours else found == "stock"


class StockHead:
    """The part of vLLM's class that the patch uses."""

    def process_weights_after_loading(self, layer: Any) -> None:
        layer.cpu_linear = "stock"


@pytest.mark.parametrize(
    ("rows", "dtype", "expected"),
    [
        (MIN_VOCABULARY, torch.bfloat16, "int8"),
        (MIN_VOCABULARY - 1, torch.bfloat16, "stock"),
        (MIN_VOCABULARY, torch.float32, "int8"),
        (MIN_VOCABULARY, torch.float16, "stock"),
    ],
)
def test_only_a_large_lm_head_becomes_int8(
    rows: int, dtype: torch.dtype, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = type("UnquantizedEmbeddingMethod", (StockHead,), {})
    monkeypatch.setitem(sys.modules, HEADS, SimpleNamespace(UnquantizedEmbeddingMethod=method))
    monkeypatch.setattr(patches, "Int8LMHead", lambda weight: "int8")
    patches.replace_lm_head()
    layer = SimpleNamespace(weight=torch.empty(rows, 2, dtype=dtype))
    method().process_weights_after_loading(layer)
    assert layer.cpu_linear == expected


def test_loaded_code_of_inductor_gets_the_missing_method_and_vllms_own_keeps_its(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored = {
        "inductor": SimpleNamespace(),
        "vllm": SimpleNamespace(finalize_loading=lambda _config: "its own"),
    }

    def load(name: str) -> SimpleNamespace:
        return SimpleNamespace(_artifacts=SimpleNamespace(compiled_fn=stored[name]))

    monkeypatch.setattr(torch.compiler, "load_compiled_function", load)
    patches.load_compiled_models()
    for name in stored:
        torch.compiler.load_compiled_function(name)  # type: ignore[arg-type]
    assert stored["inductor"].finalize_loading(None) is None
    assert stored["vllm"].finalize_loading(None) == "its own"


def test_ranks_are_measured_for_the_layers_of_each_wrapper() -> None:
    first = SimpleNamespace(ranks=torch.zeros(2, dtype=torch.long))
    second = SimpleNamespace(ranks=torch.zeros(2, dtype=torch.long))
    a = torch.zeros(2, 1, 8, 4)
    a[1, 0, :3] = 1
    layers = [
        SimpleNamespace(punica_wrapper=first, lora_a_stacked=(a, torch.zeros_like(a))),
        SimpleNamespace(punica_wrapper=first, lora_a_stacked=(torch.zeros_like(a),)),
    ]
    manager = SimpleNamespace(punica_wrapper_mapping={"first": first, "second": second})
    patches.measure_ranks(manager, layers, 1)
    assert (first.ranks.tolist(), second.ranks.tolist()) == ([0, 3], [0, 0])
