"""Mix of personas: which adapters answer together, and how strongly. Pure functions.

Weights are multiples of 0.05, so that similar requests share one adapter in the engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass

STEP = 0.05
AS_TRAINED = 1.0
MAX_INTENSITY = 1.5
MAX_SHARE = 1000.0  # in a request, in any unit


@dataclass(frozen=True, slots=True)
class Mix:
    """Weights of the personas' adapters.

    Attributes:
        weights: weight by persona, each a positive multiple of `STEP`. Only the mix without any
            adapter has a weight of 0, that of its speaker.
    """

    weights: tuple[tuple[str, float], ...]

    @property
    def intensity(self) -> float:
        """Sum of the weights: 1 as trained, 0 the base model."""
        return round(sum(weight for _, weight in self.weights), 2)


def mix_of(shares: Mapping[str, float], intensity: float = AS_TRAINED) -> Mix:
    """Return the weights of personas.

    Args:
        shares: share of each persona, in any unit. Their sum must be positive.
        intensity: sum of the weights. It is rounded to a multiple of `STEP`, and the weights are
            rounded so that they still sum up to it.
    """
    steps = round(intensity / STEP)
    if not steps:
        return Mix(((heaviest(shares), 0.0),))
    exact = {persona: share / sum(shares.values()) * steps for persona, share in shares.items()}
    counts = {persona: int(value) for persona, value in exact.items()}
    # Of equal remainders the first persona gets the step, whatever the errors of floating point.
    by_remainder = sorted(exact, key=lambda persona: round(counts[persona] - exact[persona], 9))
    for persona in by_remainder[: steps - sum(counts.values())]:
        counts[persona] += 1
    return Mix(
        tuple((persona, round(count * STEP, 2)) for persona, count in counts.items() if count)
    )


def heaviest(shares: Mapping[str, float]) -> str:
    """Return the persona with the largest share; the first of several."""
    return max(shares, key=lambda persona: shares[persona])
