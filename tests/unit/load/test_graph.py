"""Configuration of the graph that load tests and benchmarks measure."""

from pathlib import Path

import pytest

from load.harness import graph

FILE = """
applications:
  - name: face-your-emotions
    import_path: serve.app:build
    args: { responder: { candidates: 8, critic: critic, queue: 7 } }
"""


def test_benchmarks_compare_one_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "local.yaml").write_text(FILE)
    monkeypatch.setattr(graph, "LOCAL", tmp_path / "local.yaml")
    responder = graph.local_config().responder
    assert (responder.candidates, responder.queue) == (1, 7)
