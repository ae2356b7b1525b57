"""The command around the graph: what it sets, what it checks before anything starts, and how it reports."""

import io
import os
import socket
from pathlib import Path

import pytest
from rich.console import Console

from serve.cli import run
from serve.config import SCRIPTED, DetectorConfig, Replicas, ServeConfig


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    recording = Console(record=True, width=400, file=io.StringIO())
    monkeypatch.setattr(run, "console", recording)
    return recording


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ})


def test_a_configuration_that_cannot_be_read_is_one_sentence_with_every_word_of_it(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("applications: [{import_path: serve.app:build, args: {ingres: {}}}]")
    assert run.start(file, False, "127.0.0.1", 8000) == 1
    text = console.export_text()
    assert text.startswith(f"CatalogError: {file}: ")
    assert "args.ingres" in text
    assert "[type=extra_forbidden" in text


def test_a_port_that_is_taken_is_reported_before_anything_starts(console: Console, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run.start(tmp_path, True, "127.0.0.1", port) == 1
    text = console.export_text()
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in text
    assert "--port" in text
    assert "Starting" not in text


def test_a_port_that_was_just_released_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            pass
    run._check_port("127.0.0.1", port)


def test_ray_sends_nothing_home_unless_the_operator_says_so() -> None:
    os.environ.pop("RAY_USAGE_STATS_ENABLED", None)
    run.set_ray_environment()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    os.environ.update(RAY_USAGE_STATS_ENABLED="1", RAY_SERVE_THROUGHPUT_OPTIMIZED="0")
    run.set_ray_environment()
    assert (os.environ["RAY_USAGE_STATS_ENABLED"], os.environ["RAY_SERVE_THROUGHPUT_OPTIMIZED"]) == ("1", "0")


@pytest.mark.parametrize(("maximum", "cpus"), [(1, 0.5), (64, 2.0)])
def test_ray_is_told_of_enough_cpus_for_every_replica(maximum: int, cpus: float) -> None:
    config = ServeConfig(detector=DetectorConfig(replicas=Replicas(maximum=maximum, cpus=cpus)))
    assert run._ray_cpus(config) >= max(os.cpu_count() or 1, maximum * cpus + 1.1)


def test_the_scripted_graph_fetches_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(run, "materialize", lambda name, report: fetched.append(name))
    run.fetch_weights(SCRIPTED)
    assert fetched == []
    run.fetch_weights(SCRIPTED.model_copy(update={"responder": ServeConfig().responder}))
    assert fetched == [ServeConfig().responder.base]
