"""Weights that are fetched before the graph starts."""

import pytest

from serve.cli import weights
from serve.cli.weights import fetch_weights
from serve.config import SCRIPTED, DetectorConfig, ServeConfig


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
