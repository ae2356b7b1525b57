"""The table of the choices that a CPU leaves, and what becomes of an engine that does not start."""

import pytest
from rich.console import Console

from load.bench import cpu_options as cpu_path
from load.bench.cpu_options import SHIPS, Choice, in_its_process, table


def test_every_choice_stands_beside_what_ships() -> None:
    found = {
        SHIPS: {"one_ms": [30.0, 40.0, 50.0], "many_per_s": [200.0], "turn_ms": [60.0]},
        "not compiled": {"one_ms": [80.0], "many_per_s": [100.0], "turn_ms": [30.0]},
    }
    console = Console(width=180)
    with console.capture() as shown:
        console.print(table(found))
    ships, other = (line for line in shown.get().splitlines() if "│" in line)
    assert "40.0 (30.0 to 50.0)" in ships
    assert "0.50, 0.50, 2.00" in other


@pytest.mark.parametrize(("timeout_s", "says"), [(0.05, "no answer within"), (60, "ended with status")])
def test_an_engine_that_does_not_start_is_told_of(timeout_s: float, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No process knows the choice, so none can make it."""
    monkeypatch.setattr(cpu_path, "TIMEOUT_S", timeout_s)
    monkeypatch.setitem(cpu_path.CHOICES, "unknown", Choice())
    with pytest.raises(RuntimeError, match=says):
        in_its_process("unknown")
