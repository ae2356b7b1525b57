"""`make chaos` in its short form: every fault struck, and no request was lost, wrong or hung."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from load.chaos.chaos import FAULTS
from load.harness.outcomes import ENDS

ROOT = Path(__file__).parents[3]
SILENT = ("lost", "wrong", "hung")
LIMIT_S = 480


@pytest.mark.timeout(LIMIT_S + 60)
def test_no_fault_loses_a_request(tmp_path: Path) -> None:
    """The command's status is 1 too if a fault did not bite, if one spared nobody whom it should, or if the graph was not whole after."""
    out = tmp_path / "chaos.json"
    command = [sys.executable, "-m", "load.chaos.chaos", "--short", "--out", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "tests"}, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["fault"]: row for row in json.loads(out.read_bytes())}
    assert list(rows) == [fault.name for fault in FAULTS]
    for row in rows.values():
        assert set(row) == {"fault", "sent", *ENDS}
        assert [row[end] for end in SILENT] == [0, 0, 0]
        assert row["sent"] == sum(row[end] for end in ENDS) > 0
        assert row["ok"] > row["sent"] / 2
    assert rows["responder killed"]["failed_explicitly"] > 0, "nobody was in the middle of a stream"
    print(done.stdout)
