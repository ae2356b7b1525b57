"""Mix of personas: rounding of weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.emotions import LABELS
from serve.responder.mix import MAX_INTENSITY, STEP, Mix, heaviest, mix_of

shares_strategy = st.dictionaries(
    st.sampled_from([str(label) for label in LABELS]), st.floats(0.01, 1000), min_size=1
)


@pytest.mark.parametrize(
    ("shares", "intensity", "weights"),
    [
        ({"joy": 1}, 1, {"joy": 1.0}),
        ({"joy": 0.7, "surprise": 0.3}, 1, {"joy": 0.7, "surprise": 0.3}),
        ({"joy": 7, "surprise": 3}, 1.5, {"joy": 1.05, "surprise": 0.45}),
        ({"joy": 1}, 1.23, {"joy": 1.25}),
        ({"joy": 0.99, "surprise": 0.01}, 1, {"joy": 1.0}),
        ({"joy": 1, "love": 1, "fear": 1}, 1, {"joy": 0.35, "love": 0.35, "fear": 0.3}),
        ({"joy": 0.65, "surprise": 0.35}, 1.5, {"joy": 1.0, "surprise": 0.5}),
        ({"joy": 0.35, "surprise": 0.65}, 1.5, {"joy": 0.55, "surprise": 0.95}),
        ({"joy": 0.4, "surprise": 0.6}, 0, {"surprise": 0.0}),
        ({"joy": 0.4, "surprise": 0.6}, 0.02, {"surprise": 0.0}),
    ],
)
def test_weights_are_shares_of_the_intensity(
    shares: dict[str, float], intensity: float, weights: dict[str, float]
) -> None:
    assert mix_of(shares, intensity) == Mix(tuple(weights.items()))


@given(shares_strategy, st.floats(0, MAX_INTENSITY))
def test_weights_are_steps_that_sum_up_to_the_rounded_intensity(
    shares: dict[str, float], intensity: float
) -> None:
    mix = mix_of(shares, intensity)
    assert mix.intensity == pytest.approx(intensity, abs=STEP / 2 + 1e-9)
    assert mix.intensity == pytest.approx(round(mix.intensity / STEP) * STEP)
    total = sum(shares.values())
    for persona, weight in mix.weights:
        assert weight == pytest.approx(round(weight / STEP) * STEP)
        assert weight == pytest.approx(shares[persona] / total * mix.intensity, abs=STEP + 1e-9)
    # A client that repeats the reply's weights gets the same ones.
    if mix.intensity:
        assert mix_of(dict(mix.weights), mix.intensity) == mix


def test_the_first_of_the_heaviest_speaks() -> None:
    assert heaviest({"love": 0.2, "surprise": 0.4, "joy": 0.4}) == "surprise"
