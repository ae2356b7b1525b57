"""How a report shows its numbers, names and rows."""

from training.report.schema import ArmReport, DetectorOnSet, Interval, PersonaReport

ADAPTER = "adapter"
EMOTION_TEST = "emotion_test"
SETS = {
    "ordinary_fresh": "fresh ordinary messages",
    "ordinary": "ordinary messages",
    EMOTION_TEST: "emotion/test",
    "strict": "GoEmotions, strict labels",
    "broad": "GoEmotions, broad labels",
}


def number(value: float) -> str:
    return f"{value:.3f}"


def interval(estimate: Interval) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def points(gain: Interval) -> str:
    """A gain in percentage points, signed."""
    return f"{100 * gain.value:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]".replace("-", "−")


def p_value(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def title(name: str) -> str:
    """A set's name as the page shows it; one that is not known stays as it is."""
    return next((shown for key, shown in SETS.items() if key in name.replace("/", "_")), name)


def ordered(sets: dict[str, DetectorOnSet]) -> list[tuple[str, DetectorOnSet]]:
    """Ordinary messages first, then the public sets, then what else there is."""
    order = list(SETS.values())
    return sorted(sets.items(), key=lambda item: order.index(title(item[0])) if title(item[0]) in order else len(order))


def arms(persona: PersonaReport) -> dict[str, ArmReport]:
    """The adapter first."""
    return dict(sorted(persona.arms.items(), key=lambda item: item[0] != ADAPTER))
