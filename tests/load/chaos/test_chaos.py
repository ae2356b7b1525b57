"""Chaos test in its short form."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from load.chaos.catalog import FAULTS
from load.harness.outcomes import ENDS

ROOT = Path(__file__).parents[3]
SILENT = ("lost", "wrong", "hung")
TIMEOUT_S = 480


@pytest.mark.timeout(TIMEOUT_S + 60)
def test_no_fault_loses_a_request(tmp_path: Path) -> None:
    """Check the counts too: the exit status alone also covers faults without effect."""
    out = tmp_path / "chaos.json"
    done = subprocess.run(
        [sys.executable, "-m", "load.chaos.chaos", "--short", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "tests"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["fault"]: row for row in json.loads(out.read_bytes())}
    assert list(rows) == [fault.name for fault in FAULTS]
    for row in rows.values():
        assert set(row) == {"fault", "sent", *ENDS}
        assert [row[end] for end in SILENT] == [0, 0, 0]
        assert row["sent"] == sum(row[end] for end in ENDS) > 0
        assert row["ok"] > row["sent"] / 2
    assert rows["responder killed"]["failed_explicitly"] > 0, "no stream was in flight"
    print(done.stdout)
