"""Formats of numbers, and names and order of the rows in a report."""

from training.report.schema import ArmReport, DetectorSetResult, Interval, PersonaReport

ADAPTER = "adapter"
FEW_SHOT = "few-shot"
REFERENCE = "reference"
EMOTION_TEST = "emotion_test"
# Names of the evaluation sets on the page, in the order of the page.
SETS = {
    "ordinary_fresh": "fresh ordinary messages",
    "ordinary_englishes": "messages in many Englishes",
    "emoji": "messages with emoji",
    "ordinary": "ordinary messages",
    EMOTION_TEST: "emotion/test",
    "strict": "GoEmotions, strict labels",
    "broad": "GoEmotions, broad labels",
}


def number(value: float) -> str:
    """Format a number with three decimals."""
    return f"{value:.3f}"


def interval(estimate: Interval) -> str:
    """Format an estimate with its interval."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def points(gain: Interval) -> str:
    """Format a gain in percentage points, with its sign."""
    low = f"{100 * gain.low:+.1f}"
    high = f"{100 * gain.high:+.1f}"
    return f"{100 * gain.value:+.1f} [{low}, {high}]".replace("-", "−")


def p_value(p: float) -> str:
    """Format a p-value, with a floor at 0.0001."""
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def set_title(name: str) -> str:
    """Return the name of a set on the page; an unknown set keeps its own name."""
    plain = name.replace("/", "_")
    return next((title for key, title in SETS.items() if key in plain), name)


def ordered(sets: dict[str, DetectorSetResult]) -> list[tuple[str, DetectorSetResult]]:
    """Sort the sets: ordinary messages, then public sets, then unknown ones."""
    rank = {title: number for number, title in enumerate(SETS.values())}
    return sorted(sets.items(), key=lambda item: rank.get(set_title(item[0]), len(rank)))


def arms(persona: PersonaReport) -> dict[str, ArmReport]:
    """Return the arms of a persona, the adapter first."""
    return dict(sorted(persona.arms.items(), key=lambda item: item[0] != ADAPTER))
