"""Weights that are fetched before the graph starts."""

from types import SimpleNamespace

import pytest

from serve.cli import weights
from serve.cli.weights import fetch_weights
from serve.config import SCRIPTED, DetectorConfig, ResponderConfig, ServeConfig


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names = list[str]()
    monkeypatch.setattr(weights, "materialize", lambda name, report: names.append(name))
    return names


def test_scripted_graph_needs_no_weights(fetched: list[str]) -> None:
    fetch_weights(SCRIPTED)
    assert fetched == []


def test_fetches_the_responders_base(fetched: list[str]) -> None:
    responder = ServeConfig().responder
    fetch_weights(SCRIPTED.model_copy(update={"responder": responder}))
    assert fetched == [responder.base]


def test_fetches_shieldgemma_if_enabled(fetched: list[str]) -> None:
    detector = DetectorConfig(kind="scripted", harm="shieldgemma")
    fetch_weights(SCRIPTED.model_copy(update={"detector": detector}))
    assert fetched == [detector.shieldgemma]


def test_fetches_the_base_of_a_critic_that_picks(
    fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = SimpleNamespace(read=lambda folder: SimpleNamespace(base=f"base of {folder}"))
    monkeypatch.setattr(weights, "CriticManifest", read)
    monkeypatch.setattr(weights, "fetch_detector", lambda config: None)
    responder = ResponderConfig(kind="scripted", candidates=2, critic="critics")
    fetch_weights(ServeConfig(responder=responder))
    assert fetched == ["base of critics"]
    fetch_weights(ServeConfig(responder=responder.model_copy(update={"candidates": 1})))
    assert fetched == ["base of critics"]
