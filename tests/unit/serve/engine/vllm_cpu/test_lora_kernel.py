"""LoRA operator, in C and in PyTorch, against float64."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.engine.vllm_cpu.lora_kernel import (
    Tensors,
    add_lora_,
    kernel_or_reason,
    lay_out,
    masked_product,
    used_rank,
)

# Largest relative rounding error of a bfloat16; errors of float32 sums of some hundred numbers.
ROUNDING = {torch.bfloat16: 2.0**-8, torch.float32: 1e-5}
PADDING = -1


@dataclass
class Batch:
    """A layer with its adapters and the rows of one step; `y` is the output without adapters."""

    x: torch.Tensor
    y: torch.Tensor
    a: Tensors
    b: Tensors
    slots: torch.Tensor
    ranks: torch.Tensor

    def load(self, slot: int, rank: int) -> None:
        """Fill a slot as vLLM's `set_lora` does: zeros first, then the adapter's own rank."""
        for a, b in zip(self.a, self.b, strict=True):
            a[slot] = 0
            b[slot] = 0
            a[slot, 0, :rank] = torch.randn(rank, a.shape[3]) / a.shape[3] ** 0.5
            b[slot, 0, :, :rank] = torch.randn(b.shape[2], rank)
        self.ranks[slot] = used_rank(self.a, slot)

    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs in float64, and for each the sum of absolute values, which bounds rounding."""
        total = self.y.double()
        size = self.y.double().abs()
        for row, slot in enumerate(self.slots[: len(self.x)].tolist()):
            if slot >= 0:
                hidden = [a[slot, 0].double() @ self.x[row].double() for a in self.a]
                pairs = [(b[slot, 0].double(), h) for b, h in zip(self.b, hidden, strict=True)]
                total[row] += torch.cat([b @ h for b, h in pairs])
                size[row] += torch.cat([b.abs() @ h.abs() for b, h in pairs])
        return total, size

    def by_operator(self) -> torch.Tensor:
        result = self.y.clone()
        add_lora_(result, self.x, self.a, self.b, self.slots, self.ranks)
        return result

    def by_masked_product(self) -> torch.Tensor:
        result = self.y.clone()
        masked_product(result, self.x, self.a, self.b, self.slots[: len(self.x)])
        return result


def make_batch(
    rows: int,
    inputs: int,
    widths: list[int],
    ranks: list[int],
    slots: list[int],
    max_rank: int = 8,
    seed: int = 0,
    dtype: torch.dtype = torch.bfloat16,
) -> Batch:
    torch.manual_seed(seed)
    count = len(ranks)
    batch = Batch(
        x=torch.randn(rows, inputs, dtype=dtype),
        y=torch.randn(rows, sum(widths), dtype=dtype),
        a=[torch.zeros(count, 1, max_rank, inputs, dtype=dtype) for _ in widths],
        b=[lay_out(torch.zeros(count, 1, width, max_rank, dtype=dtype)) for width in widths],
        slots=torch.tensor(slots),
        ranks=torch.zeros(count, dtype=torch.long),
    )
    for slot, rank in enumerate(ranks):
        batch.load(slot, rank)
    return batch


def assert_close(found: torch.Tensor, batch: Batch, roundings: float = 1.02) -> None:
    """Compare with float64. The operator rounds once, at the end; the rest is float32's error."""
    expected, size = batch.expected()
    allowed = roundings * ROUNDING[found.dtype] * (size + 1e-3)
    assert ((found.double() - expected).abs() <= allowed).all()


@st.composite
def batches(draw: Callable[..., Any]) -> Batch:
    integers = st.integers
    ranks = draw(st.lists(integers(0, 16), min_size=1, max_size=9))  # 0: an empty slot
    rows = draw(integers(1, 40))
    padding = [PADDING] * draw(integers(0, 5))
    slots = draw(st.lists(integers(-1, len(ranks) - 1), min_size=rows, max_size=rows))
    widths = draw(st.lists(integers(1, 700), min_size=1, max_size=3))
    inputs = draw(integers(1, 300))
    seed, dtype = draw(integers(0, 2**32)), draw(st.sampled_from(list(ROUNDING)))
    return make_batch(rows, inputs, widths, ranks, slots + padding, 16, seed, dtype)


@settings(max_examples=40, deadline=None)
@given(batches())
def test_both_implementations_agree_with_float64(batch: Batch) -> None:
    assert_close(batch.by_operator(), batch)
    assert_close(batch.by_masked_product(), batch, 3)  # rounds between the products too


@settings(max_examples=20, deadline=None)
@given(batches())
def test_rows_without_an_adapter_are_unchanged(batch: Batch) -> None:
    bare = batch.slots[: len(batch.x)] < 0
    for found in (batch.by_operator(), batch.by_masked_product()):
        assert torch.equal(found[bare], batch.y[bare])


@settings(max_examples=20, deadline=None)
@given(batches(), st.integers(0, 8), st.integers(0, 16))
def test_a_new_adapter_in_a_slot_replaces_the_old_one(batch: Batch, slot: int, rank: int) -> None:
    batch.load(slot % len(batch.ranks), rank)
    assert_close(batch.by_operator(), batch)


def test_an_emptied_slot_adds_nothing() -> None:
    batch = make_batch(5, 64, [96, 32], [4, 8], [0, 1, 0, 1, -1])
    batch.load(0, 0)
    assert batch.ranks.tolist() == [0, 8]
    assert torch.equal(batch.by_operator()[0::2], batch.y[0::2])


@pytest.mark.parametrize("rows", [1, 32, 200])
def test_rows_of_one_adapter_get_what_each_gets_alone(rows: int) -> None:
    batch = make_batch(rows, 640, [1024, 256, 256], [4, 4], [1] * rows)
    found = batch.by_operator()
    for row in range(rows):
        part = slice(row, row + 1)
        alone = batch.y[part].clone()
        add_lora_(alone, batch.x[part], batch.a, batch.b, batch.slots[part], batch.ranks)
        assert torch.equal(alone[0], found[row])


def test_rows_may_have_gaps_between_them_in_memory() -> None:
    batch = make_batch(6, 64, [48], [4], [0] * 6)
    wide_x = torch.zeros(6, 80, dtype=torch.bfloat16)
    wide_y = torch.zeros(6, 60, dtype=torch.bfloat16)
    wide_x[:, :64] = batch.x
    wide_y[:, :48] = batch.y
    add_lora_(wide_y[:, :48], wide_x[:, :64], batch.a, batch.b, batch.slots, batch.ranks)
    assert torch.equal(wide_y[:, :48], batch.by_operator())
    assert not wide_y[:, 48:].any()


def test_other_types_use_the_masked_product() -> None:
    batch = make_batch(3, 64, [48], [4], [0, -1, 0], dtype=torch.float64)
    assert torch.equal(batch.by_operator(), batch.by_masked_product())
    torch.testing.assert_close(batch.by_operator(), batch.expected()[0])


@pytest.fixture
def fresh_kernel() -> Iterator[None]:
    """Forget the loaded kernel before and after a test."""
    kernel_or_reason.cache_clear()
    yield
    kernel_or_reason.cache_clear()


@pytest.mark.parametrize("command", ["no-such-compiler", "false"])
def test_without_a_compiler_it_uses_the_masked_product_and_says_why(
    command: str,
    fresh_kernel: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CC", command)
    batch = make_batch(7, 64, [48, 16], [4, 2], [0, 1, -1, 1, 0, 0, -1])
    assert torch.equal(batch.by_operator(), batch.by_masked_product())
    assert command in str(kernel_or_reason())
    assert command in caplog.text


@pytest.mark.skipif(shutil.which("cc") is None, reason="this machine has no C compiler")
def test_the_kernel_compiles() -> None:
    assert callable(kernel_or_reason())
