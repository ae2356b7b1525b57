"""The nucleus sampler, against its definition and cases computed by hand."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from training.evaluation import sampling
from training.evaluation.sampling import NucleusSampler

SHARES = (0.1, 0.5, 0.15, 0.25)
pytestmark = pytest.mark.usefixtures("one_thread")


def nucleus_by_sorting(logits: Sequence[float], temperature: float, top_p: float) -> list[float]:
    """Compute the nucleus by its definition.

    It holds the likeliest tokens, as few as have a probability of `top_p` together.
    """
    scaled = [logit / temperature for logit in logits]
    total = sum(math.exp(each) for each in scaled)
    kept = [0.0] * len(logits)
    mass = 0.0
    for token in sorted(range(len(logits)), key=lambda token: -scaled[token]):
        assume(abs(mass - top_p) > 1e-5)  # float32 may round a closer sum either way
        if mass >= top_p:
            break
        kept[token] = math.exp(scaled[token]) / total
        mass += kept[token]
    return kept


def nucleus_shares(
    rows: Sequence[Sequence[float]], temperature: float, top_p: float
) -> list[list[float]]:
    """Return the probabilities of the sampler's nucleus, in the order of the tokens."""
    tokens, found = NucleusSampler(temperature, top_p).nucleus(torch.tensor(rows))
    shares: list[list[float]] = (
        torch.zeros(len(rows), len(rows[0])).scatter(-1, tokens, found).tolist()
    )
    return shares


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (0.05, {1}),
        (0.49, {1}),
        (0.51, {1, 3}),
        (0.74, {1, 3}),
        (0.76, {1, 2, 3}),
        (0.99, {0, 1, 2, 3}),
        (1.0, {0, 1, 2, 3}),
    ],
)
def test_nucleus_of_a_case_by_hand(top_p: float, kept: set[int]) -> None:
    (row,) = nucleus_shares([[math.log(share) for share in SHARES]], 1.0, top_p)
    expected = [share if token in kept else 0 for token, share in enumerate(SHARES)]
    assert row == pytest.approx(expected)


def test_temperature_is_applied_before_the_nucleus_is_cut() -> None:
    logits = [math.log(share) for share in (0.6, 0.4)]
    assert nucleus_shares([logits], 0.5, 0.65) == [pytest.approx([0.36 / 0.52, 0])]
    assert nucleus_shares([logits], 1.0, 0.65) == [pytest.approx([0.6, 0.4])]


@given(
    st.lists(st.permutations([number / 8 for number in range(-30, 30, 5)]), min_size=1, max_size=3),
    st.floats(0.2, 2),
    st.floats(0.01, 0.999),
)
def test_nucleus_equals_that_of_sorting(
    rows: list[list[float]], temperature: float, top_p: float
) -> None:
    for found, row in zip(nucleus_shares(rows, temperature, top_p), rows, strict=True):
        expected = nucleus_by_sorting(row, temperature, top_p)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


@given(
    st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=40),
    st.floats(0.01, 1),
)
def test_likeliest_token_is_always_in_the_nucleus(row: list[float], top_p: float) -> None:
    (found,) = nucleus_shares([row], 1.0, top_p)
    best = [share for share, logit in zip(found, row, strict=True) if logit == max(row)]
    assert max(best) == max(found) > 0


def test_large_nucleus_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MAX_NUCLEUS_TOKENS", 3)
    (row,) = nucleus_shares([[0.4, 0.1, 0.3, 0.2, 0.0]], 1.0, 1.0)
    assert [share > 0 for share in row] == [True, False, True, True, False]


def test_tokens_are_drawn_with_their_probabilities() -> None:
    torch.manual_seed(0)
    rows = torch.tensor(SHARES).log().repeat(4000, 1)
    drawn = NucleusSampler(1.0, 0.8)(torch.zeros(4000, 1), rows)
    counts = torch.bincount(drawn.argmax(-1), minlength=4) / 4000
    expected = [0, 0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9]
    assert counts.tolist() == pytest.approx(expected, abs=0.03)
    assert torch.isinf(drawn).sum(-1).tolist() == [1] * 4000
