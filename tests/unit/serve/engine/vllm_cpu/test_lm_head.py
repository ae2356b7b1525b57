"""The head of `serve.engine.vllm_cpu.lm_head` against float64: exact for the likeliest tokens, near for all others."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detector.int8.cache import has_int8_dot_product
from serve.engine.vllm_cpu import lm_head
from serve.engine.vllm_cpu.lm_head import EXACT, ByteHead, as_bytes

needs_byte_products = pytest.mark.skipif(
    not has_int8_dot_product(), reason="the processor does not multiply bytes (VNNI), so neither does vLLM here"
)


def head_and_input(vocabulary: int, hidden: int, rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and channels of unlike sizes, as in a model."""
    torch.manual_seed(seed)
    weight = torch.randn(vocabulary, hidden) * torch.rand(vocabulary, 1)
    return weight.bfloat16(), (torch.randn(rows, hidden) * torch.rand(rows, hidden) * 5).bfloat16()


@needs_byte_products
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 12).map(lambda n: 16 * n), st.integers(1, 33), st.integers(0, 2**31))
def test_the_likeliest_are_exact_and_the_others_near(vocabulary: int, hidden: int, rows: int, seed: int) -> None:
    weight, x = head_and_input(vocabulary, hidden, rows, seed)
    exact = x.double() @ weight.double().t()
    found = ByteHead(weight)(x, weight)
    assert found.dtype is torch.float32
    assert found.shape == exact.shape
    error = (found - exact).abs()
    best = exact.topk(min(EXACT // 2, vocabulary)).indices  # half: which of the last are among the likeliest, rounding may decide
    assert error.gather(1, best).max() < 1e-4 * exact.abs().max()
    unit = (x.float().abs().amax(1) / 127).double()[:, None], (weight.float().abs().amax(1) / 127).double()[None]
    bound = unit[0] / 2 * weight.double().abs().sum(1)[None] + unit[1] / 2 * (x.double().abs().sum(1)[:, None] + hidden * unit[0] / 2)
    assert (error <= bound * 1.001 + 1e-5).all()  # half a unit off, in each factor


@needs_byte_products
def test_each_row_is_as_it_is_alone() -> None:
    weight, x = head_and_input(4096, 64, 32, 0)
    x[3] *= 1000  # a row of another size does not blur the others
    head = ByteHead(weight)
    together = head(x, weight)
    for row in range(0, 32, 7):
        torch.testing.assert_close(together[row], head(x[row : row + 1], weight)[0], atol=1e-4, rtol=1e-5)


@needs_byte_products
def test_it_is_made_while_another_type_is_the_default() -> None:
    """vLLM loads a model so."""
    weight, x = head_and_input(512, 32, 2, 2)
    torch.set_default_dtype(torch.bfloat16)
    try:
        head = ByteHead(weight)
    finally:
        torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(head(x, weight), ByteHead(weight)(x, weight), atol=0, rtol=0)


@needs_byte_products
def test_shapes_bias_and_zeros() -> None:
    weight, x = head_and_input(512, 32, 6, 1)
    head, bias = ByteHead(weight), torch.randn(512).bfloat16()
    flat = head(x, weight)
    torch.testing.assert_close(head(x.view(2, 3, 32), weight), flat.view(2, 3, 512))
    torch.testing.assert_close(head(x, weight, bias), flat + bias)
    assert (head(torch.zeros(2, 32, dtype=torch.bfloat16), weight) == 0).all()


def test_bytes_reach_as_far_as_their_row() -> None:
    numbers, units = as_bytes(torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [300.0, 3.0, -300.0]]))
    assert numbers.tolist() == [[64, -127, 32], [0, 0, 0], [127, 1, -127]]
    assert units[[0, 2]].tolist() == pytest.approx([2 / 127, 300 / 127])


class Stock:
    """vLLM's class, as far as the plugin knows it."""

    def process_weights_after_loading(self, layer: Any) -> None:
        layer.cpu_linear = "vLLM's own"


@pytest.mark.parametrize(
    ("rows", "dtype", "bytes_too", "ours"),
    [
        (lm_head.LEAST_VOCABULARY, torch.bfloat16, True, True),
        (lm_head.LEAST_VOCABULARY - 1, torch.bfloat16, True, False),
        (lm_head.LEAST_VOCABULARY, torch.float32, True, False),
        (lm_head.LEAST_VOCABULARY, torch.bfloat16, False, False),
    ],
)
def test_only_a_large_head_in_bf16_on_a_fit_processor(
    rows: int, dtype: torch.dtype, bytes_too: bool, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = type("UnquantizedEmbeddingMethod", (Stock,), {})
    layers = SimpleNamespace(UnquantizedEmbeddingMethod=method)
    monkeypatch.setitem(sys.modules, "vllm.model_executor.layers.vocab_parallel_embedding", layers)
    monkeypatch.setattr(lm_head, "unfit", lambda switch: None)
    monkeypatch.setattr(lm_head, "has_int8_dot_product", lambda: bytes_too)
    monkeypatch.setattr(lm_head, "ByteHead", lambda weight: "bytes")
    lm_head.install()
    layer = SimpleNamespace(weight=torch.empty(rows, 2, dtype=dtype))
    method().process_weights_after_loading(layer)
    assert layer.cpu_linear == ("bytes" if ours else "vLLM's own")
