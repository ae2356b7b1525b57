"""Table of the CPU options, and the handling of an engine that does not start."""

import pytest
from rich.console import Console

from load.bench import cpu_options
from load.bench.cpu_options import SHIPPED, Option, build_table, measure_in_subprocess


def test_compares_every_option_with_the_shipped_one() -> None:
    found = {
        SHIPPED: {"one_ms": [30.0, 40.0, 50.0], "many_per_s": [200.0], "turn_ms": [60.0]},
        "not compiled": {"one_ms": [80.0], "many_per_s": [100.0], "turn_ms": [30.0]},
    }
    console = Console(width=180)
    with console.capture() as shown:
        console.print(build_table(found))
    shipped, other = (line for line in shown.get().splitlines() if "│" in line)
    assert "40.0 (30.0 to 50.0)" in shipped
    assert "0.50, 0.50, 2.00" in other


@pytest.mark.parametrize(
    ("timeout_s", "message"), [(0.05, "timed out after"), (60, "exited with status")]
)
def test_reports_an_engine_that_does_not_start(
    timeout_s: float, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measure an option that exists only in this process, so the subprocess fails."""
    monkeypatch.setattr(cpu_options, "TIMEOUT_S", timeout_s)
    monkeypatch.setitem(cpu_options.OPTIONS, "unknown", Option())
    with pytest.raises(RuntimeError, match=message):
        measure_in_subprocess("unknown")
