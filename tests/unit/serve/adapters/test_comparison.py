"""Comparison of two versions: figures with intervals, and a verdict by margins."""

import random

import pytest

from serve.adapters.comparison import Verdict, compare, figures
from serve.adapters.tally import Tally
from serve.config import GuardConfig

CONFIG = GuardConfig()


def tally(answers: int = 100, **more: int) -> Tally:
    """Counts of answers of ten or twenty tokens in turn, all of them classified."""
    usual = {"tokens": 15 * answers, "squared_tokens": 250 * answers, "classified": answers}
    return Tally(**({"answers": answers} | usual | more))


WORSE = {
    "errors": tally(errors=30, tokens=15 * 70, squared_tokens=250 * 70),
    "cut": tally(cut=60),
    "other_emotion": tally(other_emotion=60),
}


@pytest.mark.parametrize("measure", WORSE)
def test_a_version_is_worse_if_one_measure_is(measure: str) -> None:
    found = compare(tally(1000), WORSE[measure], CONFIG)
    assert found.verdict is Verdict.WORSE
    assert found.reason.startswith(f"{measure} is worse by at least 0.")


@pytest.mark.parametrize(("tokens", "squared"), [(5, 30), (40, 1700)])
def test_much_shorter_and_much_longer_answers_are_worse(tokens: int, squared: int) -> None:
    new = tally(tokens=100 * tokens, squared_tokens=100 * squared)
    found = compare(tally(1000), new, CONFIG)
    assert found.verdict is Verdict.WORSE
    assert found.reason.startswith("tokens is worse")


def test_a_better_version_is_not_worse() -> None:
    bad = tally(1000, errors=300, tokens=15 * 700, squared_tokens=250 * 700, other_emotion=600)
    assert compare(bad, tally(500), CONFIG).verdict is Verdict.NO_WORSE


def test_a_verdict_needs_answers_of_both_versions() -> None:
    failing = tally(49, errors=49, tokens=0, squared_tokens=0, classified=0)
    assert compare(tally(1000), failing, CONFIG).verdict is Verdict.COLLECTING
    failing += Tally.error()
    assert compare(tally(1000), failing, CONFIG).verdict is Verdict.WORSE


def test_few_answers_of_the_old_version_do_where_the_trial_has_nearly_all() -> None:
    failing = tally(1000, errors=1000, tokens=0, squared_tokens=0, classified=0)
    assert compare(tally(9), failing, CONFIG).verdict is Verdict.COLLECTING
    assert compare(tally(10), failing, CONFIG).verdict is Verdict.WORSE
    assert compare(tally(10), tally(1000), CONFIG).verdict is Verdict.NO_WORSE
    assert compare(tally(10), tally(40, errors=40), CONFIG).verdict is Verdict.COLLECTING


def test_a_difference_within_the_margin_or_its_interval_is_not_worse() -> None:
    """Thirty of a hundred against a fifth: the interval of the difference reaches below 0.15."""
    found = compare(tally(1000, other_emotion=200), tally(other_emotion=30), CONFIG)
    assert (found.verdict, found.reason) == (
        Verdict.COLLECTING,
        "more answers are needed for errors, other_emotion",
    )
    many = compare(tally(9000, other_emotion=1800), tally(9000, other_emotion=2700), CONFIG)
    assert many.verdict is Verdict.NO_WORSE


def test_emotions_are_left_out_where_nobody_counts_them() -> None:
    old, new = tally(1000, classified=0), tally(500, classified=0)
    assert compare(old, new, CONFIG).verdict is Verdict.COLLECTING
    assert compare(old, new, CONFIG, emotion=False).verdict is Verdict.NO_WORSE


def test_margins_follow_the_configuration() -> None:
    strict = CONFIG.model_copy(update={"other_emotion": 0.01})
    assert compare(tally(1000), tally(other_emotion=15), CONFIG).verdict is Verdict.COLLECTING
    assert compare(tally(1000), tally(other_emotion=15), strict).verdict is Verdict.WORSE


def test_figures_have_wilson_intervals_and_a_mean() -> None:
    found = figures(tally(errors=2, cut=0))
    assert (found.answers, found.classified) == (100, 100)
    assert found.errors is not None
    assert found.cut is not None
    assert found.tokens is not None
    # Wilson's interval of 2 of 100 with z = 2.58, computed by hand.
    assert found.errors.value == 0.02
    assert found.errors.low == pytest.approx(0.00391, abs=1e-5)
    assert found.errors.high == pytest.approx(0.09601, abs=1e-5)
    assert (found.cut.value, found.cut.low) == (0, 0)
    assert found.cut.high == pytest.approx(2.58**2 / (98 + 2.58**2))
    assert found.tokens.value == pytest.approx(1500 / 98)
    assert found.tokens.low < found.tokens.value < found.tokens.high


def test_a_version_without_answers_has_no_figures() -> None:
    found = figures(Tally())
    assert (found.errors, found.cut, found.tokens, found.other_emotion) == (None,) * 4


def test_equal_versions_are_rarely_found_worse_however_often_they_are_compared() -> None:
    """A verdict after every tenth answer: each of the 50 trials looks 30 times."""
    random_ = random.Random(1)

    def more(count: int) -> Tally:
        errors = sum(random_.random() < 0.01 for _ in range(count))
        others = sum(random_.random() < 0.4 for _ in range(count))
        lengths = [random_.randint(5, 60) for _ in range(count - errors)]
        squared = sum(length**2 for length in lengths)
        counts = {"errors": errors, "tokens": sum(lengths), "squared_tokens": squared}
        return Tally(answers=count, classified=count, other_emotion=others, **counts)

    worse = 0
    for _ in range(50):
        old, new = Tally(), Tally()
        verdicts = set()
        for _ in range(30):
            old, new = old + more(40), new + more(10)
            verdicts.add(compare(old, new, CONFIG).verdict)
        worse += Verdict.WORSE in verdicts
    assert worse <= 1
