"""The operator of `serve.engine.vllm_cpu.lora_kernel`, compiled and in PyTorch, against float64."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.engine.vllm_cpu import lora
from serve.engine.vllm_cpu.lora_kernel import Tensors, add_lora_, compiled, lay_out, masked_product, used_rank

ROUNDING = 2.0**-8  # of a bfloat16, relative, at most
PADDING = -1


@dataclass
class Batch:
    """A layer with its adapters, and the rows of one step. `y` is the base's output."""

    x: torch.Tensor
    y: torch.Tensor
    a: Tensors
    b: Tensors
    slots: torch.Tensor
    ranks: torch.Tensor

    def load(self, slot: int, rank: int) -> None:
        """As vLLM's `set_lora` does: first zero, then the adapter's own rank."""
        for a, b in zip(self.a, self.b, strict=True):
            a[slot], b[slot] = 0, 0
            a[slot, 0, :rank] = torch.randn(rank, a.shape[3]) / a.shape[3] ** 0.5
            b[slot, 0, :, :rank] = torch.randn(b.shape[2], rank)
        self.ranks[slot] = used_rank(self.a, slot)

    def expected(self) -> tuple[torch.Tensor, torch.Tensor]:
        """In float64, row by row; and the size of what was summed for each number, for its rounding."""
        total, size = self.y.double(), self.y.double().abs()
        for row, slot in enumerate(self.slots[: len(self.x)].tolist()):
            if slot >= 0:
                hidden = [a[slot, 0].double() @ self.x[row].double() for a in self.a]
                total[row] += torch.cat([b[slot, 0].double() @ h for b, h in zip(self.b, hidden, strict=True)])
                size[row] += torch.cat([b[slot, 0].double().abs() @ h.abs() for b, h in zip(self.b, hidden, strict=True)])
        return total, size

    def by_operator(self) -> torch.Tensor:
        result = self.y.clone()
        add_lora_(result, self.x, self.a, self.b, self.slots, self.ranks)
        return result

    def by_masked_product(self) -> torch.Tensor:
        result = self.y.clone()
        masked_product(result, self.x, self.a, self.b, self.slots[: len(self.x)])
        return result


def make_batch(rows: int, inputs: int, widths: list[int], ranks: list[int], slots: list[int], max_rank: int = 8, seed: int = 0) -> Batch:
    torch.manual_seed(seed)
    bf16 = torch.bfloat16
    a = [torch.zeros(len(ranks), 1, max_rank, inputs, dtype=bf16) for _ in widths]
    b = [lay_out(torch.zeros(len(ranks), 1, width, max_rank, dtype=bf16)) for width in widths]
    x, y = torch.randn(rows, inputs, dtype=bf16), torch.randn(rows, sum(widths), dtype=bf16)
    batch = Batch(x, y, a, b, torch.tensor(slots), torch.zeros(len(ranks), dtype=torch.long))
    for slot, rank in enumerate(ranks):
        batch.load(slot, rank)
    return batch


def assert_close(found: torch.Tensor, batch: Batch, roundings: float = 1.02) -> None:
    """The operator rounds once, at the end; what is above 1 is float32's own."""
    expected, size = batch.expected()
    assert ((found.double() - expected).abs() <= roundings * ROUNDING * (size + 1e-3)).all()


@st.composite
def batches(draw: Callable[..., int]) -> Batch:
    integers = st.integers
    ranks = draw(st.lists(integers(0, 16), min_size=1, max_size=9))  # 0: an empty slot
    rows, padding = draw(integers(1, 40)), draw(integers(0, 5))
    slots = draw(st.lists(integers(-1, len(ranks) - 1), min_size=rows, max_size=rows))
    widths = draw(st.lists(integers(1, 700), min_size=1, max_size=3))
    return make_batch(rows, draw(integers(1, 300)), widths, ranks, slots + [PADDING] * padding, 16, draw(integers(0, 2**32)))


@settings(max_examples=40, deadline=None)
@given(batches())
def test_it_agrees_with_float64(batch: Batch) -> None:
    assert_close(batch.by_operator(), batch)
    assert_close(batch.by_masked_product(), batch, 3)  # also between the products, and before it adds


@settings(max_examples=20, deadline=None)
@given(batches())
def test_a_row_without_an_adapter_is_left_as_it_is(batch: Batch) -> None:
    bare = batch.slots[: len(batch.x)] < 0
    for found in (batch.by_operator(), batch.by_masked_product()):
        assert torch.equal(found[bare], batch.y[bare])


@settings(max_examples=20, deadline=None)
@given(batches(), st.integers(0, 8), st.integers(0, 16))
def test_another_adapter_in_the_slot_replaces_the_first(batch: Batch, slot: int, rank: int) -> None:
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
        alone = batch.y[row : row + 1].clone()
        add_lora_(alone, batch.x[row : row + 1], batch.a, batch.b, batch.slots[row : row + 1], batch.ranks)
        assert torch.equal(alone[0], found[row])


def test_rows_may_lie_apart_in_memory() -> None:
    batch = make_batch(6, 64, [48], [4], [0] * 6)
    wide_x, wide_y = torch.zeros(6, 80, dtype=torch.bfloat16), torch.zeros(6, 60, dtype=torch.bfloat16)
    wide_x[:, :64], wide_y[:, :48] = batch.x, batch.y
    add_lora_(wide_y[:, :48], wide_x[:, :64], batch.a, batch.b, batch.slots, batch.ranks)
    assert torch.equal(wide_y[:, :48], batch.by_operator())
    assert not wide_y[:, 48:].any()


def test_float32_goes_the_other_way() -> None:
    batch = make_batch(3, 64, [48], [4], [0, -1, 0])
    batch.x, batch.y, batch.a, batch.b = batch.x.float(), batch.y.float(), [a.float() for a in batch.a], [b.float() for b in batch.b]
    torch.testing.assert_close(batch.by_operator().double(), batch.expected()[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("command", ["no-such-compiler", "false"])
def test_without_a_compiler_it_is_the_masked_product(
    command: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CC", command)
    compiled.cache_clear()
    batch = make_batch(7, 64, [48, 16], [4, 2], [0, 1, -1, 1, 0, 0, -1])
    assert torch.equal(batch.by_operator(), batch.by_masked_product())
    assert "PyTorch's own operators" in caplog.text
    compiled.cache_clear()


@pytest.mark.skipif(shutil.which("cc") is None, reason="this machine has no C compiler")
def test_it_compiles_here() -> None:
    assert compiled() is not None


def test_the_reason_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("FYE_CPU_LORA", "0")
    lora.install()
    assert [record.getMessage() for record in caplog.records] == ["the CPU LoRA operators are vLLM's own: FYE_CPU_LORA=0"]


def test_compiled_code_of_inductors_is_loaded_and_vllms_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, own = SimpleNamespace(), SimpleNamespace(finalize_loading=lambda _config: "its own")
    stored = {"plain": plain, "own": own}
    monkeypatch.setattr(
        torch.compiler, "load_compiled_function", lambda name: SimpleNamespace(_artifacts=SimpleNamespace(compiled_fn=stored[name]))
    )
    lora._load_what_was_compiled()
    for name in stored:
        torch.compiler.load_compiled_function(name)  # type: ignore[arg-type]
    assert (plain.finalize_loading(None), own.finalize_loading(None)) == (None, "its own")
