"""API keys on a running graph: scopes, limits, a changed key file, administration."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from serve.__main__ import app
from serve.api.auth import new_secret, sha256_of
from serve.config import (
    SCRIPTED,
    DetectorConfig,
    KeysConfig,
    Replicas,
    ResponderConfig,
    ServeConfig,
)
from support.running_graph import Graph

APP = "keyed"
FREE = Replicas(cpus=0)  # next to the graph of the other tests
CHAT = "/v1/chat/completions"
BODIES = {
    "/v1/respond": {"text": "such joy", "max_tokens": 2},
    "/v1/detect": {"text": "such joy"},
    CHAT: {"messages": [{"role": "user", "content": "such joy"}], "max_tokens": 2},
}
ADMIN = "/v1/admin/adapters"
USER, READER, LIMITED, OPERATOR, NEWCOMER = (new_secret() for _ in range(5))
SEEN_WITHIN_S = 10


def line(secret: str, name: str, scopes: str, more: str = "") -> str:
    return (
        f'[[keys]]\nname = "{name}"\nsha256 = "{sha256_of(secret)}"\nscopes = [{scopes}]\n{more}\n'
    )


KEYS = (
    line(USER, "user", '"respond", "detect"')
    + line(LIMITED, "limited", '"respond"', "requests_per_minute = 2")
    + line(OPERATOR, "operator", '"admin"')
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    file.write_text(KEYS + line(READER, "reader", '"detect"'), "utf-8")
    return file


@pytest.fixture(scope="module")
def url(graph: Graph, file: Path) -> Iterator[str]:
    """A second application, under `/keyed`."""
    from ray import serve

    from serve.app import build

    detector = DetectorConfig(kind="scripted", harm="off", replicas=FREE)
    responder = ResponderConfig(kind="scripted", replicas=FREE)
    parts = {"detector": detector, "responder": responder, "api_keys": KeysConfig(file=file)}
    config: ServeConfig = SCRIPTED.model_copy(update=parts)
    serve.run(build(config), name=APP, route_prefix=f"/{APP}")
    yield f"{graph.url}/{APP}"
    serve.delete(APP)


def ask(url: str, path: str, secret: str | None) -> httpx.Response:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    return httpx.post(f"{url}{path}", json=BODIES[path], headers=headers, timeout=30)


@pytest.mark.parametrize("path", BODIES)
def test_key_allows_its_scopes_only(url: str, path: str) -> None:
    missing, unknown, right = [ask(url, path, secret) for secret in (None, NEWCOMER, USER)]
    assert [reply.status_code for reply in (missing, unknown, right)] == [401, 401, 200]
    assert missing.headers["www-authenticate"] == "Bearer"
    assert ask(url, path, READER).status_code == (200 if path == "/v1/detect" else 403)


def test_rate_limit_of_one_key_does_not_affect_others(url: str) -> None:
    replies = [ask(url, "/v1/respond", LIMITED) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[-1].json()["type"] == "urn:face-your-emotions:rate-limited"
    assert 1 <= int(replies[-1].headers["retry-after"]) <= 30, (
        "one of two a minute comes back in half a minute"
    )
    assert ask(url, "/v1/respond", USER).status_code == 200


def test_administration_needs_the_admin_scope(url: str) -> None:
    statuses = [
        httpx.get(
            f"{url}{ADMIN}", headers={"authorization": f"Bearer {secret}"} if secret else {}
        ).status_code
        for secret in (None, USER, OPERATOR)
    ]
    assert statuses == [401, 403, 200]
    refused = httpx.post(
        f"{url}{ADMIN}/rollback",
        json={"persona": "joy"},
        headers={"authorization": f"Bearer {USER}"},
    )
    assert refused.status_code == 403


def test_command_sends_the_key_of_its_environment(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["adapters", "list", "--url", url]
    monkeypatch.delenv("FYE_KEY", raising=False)
    refused = CliRunner().invoke(app, command)
    assert (refused.exit_code, refused.stderr) == (
        1,
        "send a valid API key: authorization: Bearer ...\n",
    )
    listed = CliRunner().invoke(app, command, env={"FYE_KEY": OPERATOR})
    assert listed.exit_code == 0, listed.output
    assert "joy@scripted" in listed.stdout


def test_changed_key_file_is_reloaded(url: str, file: Path) -> None:
    file.write_text(KEYS + line(NEWCOMER, "newcomer", '"detect"'), "utf-8")
    deadline_s = time.monotonic() + SEEN_WITHIN_S
    while (status := ask(url, "/v1/detect", NEWCOMER).status_code) != 200:
        assert (status, time.monotonic() < deadline_s) == (401, True)
        time.sleep(0.3)
    assert [ask(url, "/v1/detect", secret).status_code for secret in (READER, USER)] == [401, 200]
