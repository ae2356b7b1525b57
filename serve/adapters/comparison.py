"""Comparison of two adapter versions by the answers that they gave.

Four measures: the share of errors, the share of answers cut at `max_tokens`, the number of tokens,
and the share of answers in which the detector sees another emotion than the persona's. A version is
worse if an interval of the difference lies above the margin of one of them, and no worse if all
intervals lie below. The intervals are of 99 %, because they are looked at again and again.

Wilson (1927) for shares, and Newcombe (1998), method 10, for their difference.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from models.schema import FrozenModel
from serve.adapters.tally import Tally
from serve.config import GuardConfig

Z = 2.58  # standard errors: 99 %
OLD_ANSWERS = 10  # of the version in use, before a measure is judged; a large share leaves it few
OTHER_EMOTION = "other_emotion"


class Verdict(StrEnum):
    """Result of a comparison."""

    COLLECTING = "collecting"
    NO_WORSE = "no worse"
    WORSE = "worse"


class Estimate(FrozenModel):
    """An estimated share or mean and its interval, from 0 answers without any value."""

    value: float
    low: float
    high: float


class Figures(FrozenModel):
    """Figures of one version, each None where there is no answer to compute it from.

    Attributes:
        answers: answers that ended.
        classified: answers that the detector has read.
        errors: share of answers that failed or timed out.
        cut: share of those without an error or a limit of the client that ended at `max_tokens`.
        tokens: mean of the tokens of the same.
        other_emotion: share of the classified ones with another emotion than the persona's.
    """

    answers: int
    classified: int
    errors: Estimate | None
    cut: Estimate | None
    tokens: Estimate | None
    other_emotion: Estimate | None


class Comparison(FrozenModel):
    """A verdict, and which measure it is due to.

    Attributes:
        reason: what is worse, or what is still needed; empty if the new version is no worse.
    """

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Gap:
    """Difference of the new version from the old one in one measure.

    Attributes:
        old: answers of the version in use that it is computed from.
        new: those of the version on trial.
    """

    measure: str
    margin: float
    old: int
    new: int
    low: float = -math.inf
    high: float = math.inf


def figures(tally: Tally) -> Figures:
    """Return the figures of a version."""
    return Figures(
        answers=tally.answers,
        classified=tally.classified,
        errors=_share(tally.errors, tally.answers),
        cut=_share(tally.cut, tally.written),
        tokens=_mean_tokens(tally),
        other_emotion=_share(tally.other_emotion, tally.classified),
    )


def compare(old: Tally, new: Tally, config: GuardConfig, emotion: bool = True) -> Comparison:
    """Compare two versions.

    Args:
        old: counts of the version in use.
        new: counts of the one on trial.
        config: margins, and the number of answers of the new version that a verdict needs.
        emotion: whether the emotions of the answers are counted.
    """
    gaps = [gap for gap in _gaps(old, new, config) if emotion or gap.measure != OTHER_EMOTION]
    ready = [gap for gap in gaps if gap.old >= OLD_ANSWERS and gap.new >= config.min_answers]
    worse = [gap for gap in ready if gap.low > gap.margin]
    if worse:
        return Comparison(verdict=Verdict.WORSE, reason="; ".join(map(_finding, worse)))
    unclear = [gap.measure for gap in gaps if gap not in ready or gap.high > gap.margin]
    if unclear:
        needed = f"more answers are needed for {', '.join(unclear)}"
        return Comparison(verdict=Verdict.COLLECTING, reason=needed)
    return Comparison(verdict=Verdict.NO_WORSE)


def _gaps(old: Tally, new: Tally, config: GuardConfig) -> Iterator[_Gap]:
    yield _share_gap("errors", config.errors, (old.errors, old.answers), (new.errors, new.answers))
    yield _share_gap("cut", config.cut, (old.cut, old.written), (new.cut, new.written))
    yield _length_gap(old, new, config.tokens)
    before, after = (old.other_emotion, old.classified), (new.other_emotion, new.classified)
    yield _share_gap(OTHER_EMOTION, config.other_emotion, before, after)


def _share_gap(measure: str, margin: float, old: tuple[int, int], new: tuple[int, int]) -> _Gap:
    """Return the interval of the difference of two shares, each given as (count, of)."""
    before, after = _share(*old), _share(*new)
    if before is None or after is None:
        return _Gap(measure, margin, old[1], new[1])
    difference = after.value - before.value
    below = math.hypot(after.value - after.low, before.high - before.value)
    above = math.hypot(after.high - after.value, before.value - before.low)
    return _Gap(measure, margin, old[1], new[1], difference - below, difference + above)


def _length_gap(old: Tally, new: Tally, margin: float) -> _Gap:
    """Return the interval of how far the mean lengths are apart, as a share of the old one."""
    before, after = _mean_tokens(old), _mean_tokens(new)
    if before is None or after is None or not before.value:
        return _Gap("tokens", margin, old.written, new.written)
    apart = abs(after.value - before.value) / before.value
    around = math.hypot(after.high - after.value, before.high - before.value) / before.value
    return _Gap("tokens", margin, old.written, new.written, apart - around, apart + around)


def _share(count: int, of: int) -> Estimate | None:
    if not of:
        return None
    share = count / of
    centre = (share + Z**2 / (2 * of)) / (1 + Z**2 / of)
    around = Z / (1 + Z**2 / of) * math.sqrt(share * (1 - share) / of + (Z / (2 * of)) ** 2)
    low, high = max(centre - around, 0.0), min(centre + around, 1.0)
    return Estimate(value=share, low=min(low, share), high=max(high, share))


def _mean_tokens(tally: Tally) -> Estimate | None:
    if not tally.written:
        return None
    mean = tally.tokens / tally.written
    variance = max(tally.squared_tokens / tally.written - mean**2, 0.0)
    around = Z * math.sqrt(variance / tally.written)
    return Estimate(value=mean, low=max(mean - around, 0.0), high=mean + around)


def _finding(gap: _Gap) -> str:
    return f"{gap.measure} is worse by at least {gap.low:.3f}, the margin is {gap.margin:g}"
