"""Command that manages adapter versions, against a fake admin API."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from serve.cli import adapters

VERSION = {"name": "joy@1", "persona": "joy", "promoted": True, "share": 0.9}
VERSION |= {"resident": 2, "replicas": 2}
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def serve_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Handler], None]:
    """Send the command's requests to a handler."""

    def install(handler: Handler) -> None:
        client = httpx.Client(transport=httpx.MockTransport(handler))
        monkeypatch.setattr(httpx, "request", client.request)

    return install


@pytest.mark.parametrize(
    ("command", "call", "body"),
    [
        ("list", "GET /v1/admin/adapters", None),
        ("promote joy@1", "POST /v1/admin/adapters/promote", {"name": "joy@1"}),
        (
            "promote joy@1 --share 0.1",
            "POST /v1/admin/adapters/promote",
            {"name": "joy@1", "share": 0.1},
        ),
        ("rollback joy", "POST /v1/admin/adapters/rollback", {"persona": "joy"}),
    ],
)
def test_calls_the_admin_api(
    serve_with: Callable[[Handler], None], command: str, call: str, body: dict[str, object] | None
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert f"{request.method} {request.url.path}" == call
        assert json.loads(request.content or "null") == body
        return httpx.Response(200, json=[VERSION])

    serve_with(handle)
    done = CliRunner().invoke(adapters.app, command.split())
    assert done.exit_code == 0, done.output
    assert "joy@1" in done.stdout
    assert "2 of 2" in done.stdout
    assert "90.0%" in done.stdout


def test_sends_the_key_of_the_environment(
    serve_with: Callable[[Handler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FYE_KEY", "secret")

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer secret"
        return httpx.Response(200, json=[])

    serve_with(handle)
    assert CliRunner().invoke(adapters.app, ["list"]).exit_code == 0


def test_an_error_names_the_fields_that_are_not_valid(
    serve_with: Callable[[Handler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FYE_KEY", "secret")
    errors = [{"field": "share", "problem": "is too \x1b[2Jsmall"}]
    problem = {"detail": "the request is not valid", "errors": errors}
    serve_with(lambda request: httpx.Response(422, json=problem))
    done = CliRunner().invoke(adapters.app, ["promote", "joy@1"])
    assert done.exit_code == 1
    assert done.stderr.strip() == "the request is not valid; share: is too [2Jsmall"


def test_refuses_a_key_that_no_header_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FYE_KEY", "fye\u2011secret")
    done = CliRunner().invoke(adapters.app, ["list"])
    assert done.exit_code == 2
    assert "FYE_KEY has a character" in done.stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://127.0.0.1:8000", "operator"), ("http://[::1]:1", "operator"), ("http://far:1", None)],
)
def test_sends_the_operators_key_to_this_machine_only(
    serve_with: Callable[[Handler], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    expected: str | None,
) -> None:
    monkeypatch.delenv("FYE_KEY", raising=False)
    monkeypatch.setenv("FYE_CACHE", str(tmp_path))
    (tmp_path / "admin-key").write_text("operator\n")
    (tmp_path / "admin-key").chmod(0o600)
    sent: list[str | None] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("authorization"))
        return httpx.Response(200, json=[])

    serve_with(handle)
    assert CliRunner().invoke(adapters.app, ["list", "--url", url]).exit_code == 0
    assert sent == [expected and f"Bearer {expected}"]


ESTIMATE = {"value": 0.02, "low": 0.005, "high": 0.0711}
FIGURES = {"answers": 250, "classified": 0, "errors": ESTIMATE, "cut": ESTIMATE}
FIGURES |= {"other_emotion": None, "tokens": {"value": 31.25, "low": 30, "high": 32.5}}
TRIAL = {
    "persona": "joy",
    "old": {"name": "joy@1", "share": 0.9, "figures": FIGURES},
    "new": {"name": "joy@2", "share": 0.1, "figures": FIGURES | {"answers": 51}},
    "verdict": "collecting",
    "reason": "more answers are needed for errors",
    "rolled_back_at": None,
}
ENDED = {"verdict": "worse", "reason": "errors is worse", "rolled_back_at": "2026-01-02T03:04:05Z"}


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([TRIAL], "collecting; more answers are needed for errors"),
        ([TRIAL | ENDED], "worse: rolled back at 2026-01-02T03:04:05Z; errors is worse"),
        ([TRIAL | {"verdict": "no worse", "reason": ""}], "no worse"),
    ],
)
def test_status_compares_both_versions(
    serve_with: Callable[[Handler], None], trials: list[dict[str, object]], expected: str
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert f"{request.method} {request.url.path}" == "GET /v1/admin/adapters/status"
        return httpx.Response(200, json=trials)

    serve_with(handle)
    done = CliRunner().invoke(adapters.app, ["status"], env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    assert expected in done.stdout.splitlines()
    for shown in ("joy@1 (90.0%)", "joy@2 (10.0%)", "250", "51"):
        assert shown in done.stdout
    assert done.stdout.count("2.0% (0.5% to 7.1%)") == 4
    assert done.stdout.count("31.2 (30.0 to 32.5)") == 2


def test_status_without_a_trial(serve_with: Callable[[Handler], None]) -> None:
    serve_with(lambda request: httpx.Response(200, json=[]))
    assert "No version is on trial." in CliRunner().invoke(adapters.app, ["status"]).stdout


def test_publish_sends_an_absolute_path(
    serve_with: Callable[[Handler], None], tmp_path: Path
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content) == {"folder": str(tmp_path.resolve())}
        return httpx.Response(200, json=[VERSION])

    serve_with(handle)
    assert CliRunner().invoke(adapters.app, ["publish", str(tmp_path)]).exit_code == 0


def test_prints_the_servers_reason(serve_with: Callable[[Handler], None]) -> None:
    serve_with(lambda request: httpx.Response(422, json={"detail": "joy@2 is not published"}))
    done = CliRunner().invoke(adapters.app, ["promote", "joy@2"])
    assert done.exit_code == 1
    assert "joy@2 is not published" in done.stderr


@pytest.mark.parametrize("status", [200, 302, 401, 502])
def test_a_proxys_page_is_named_by_its_status(
    serve_with: Callable[[Handler], None], status: int
) -> None:
    serve_with(lambda request: httpx.Response(status, html="<html>sign in</html>"))
    done = CliRunner().invoke(adapters.app, ["list", "--url", "http://far:1"])
    assert done.exit_code == 1
    assert f"unexpected reply from far ({status}" in done.stderr


def test_a_slash_at_the_end_of_the_url_is_dropped(serve_with: Callable[[Handler], None]) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/base/v1/admin/adapters"
        return httpx.Response(200, json=[])

    serve_with(handle)
    done = CliRunner().invoke(adapters.app, ["list", "--url", "http://far:1/base/"])
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("error", "phrase"),
    [
        (httpx.ConnectError("refused"), "cannot connect to"),
        (httpx.ConnectTimeout("slow"), "cannot connect to"),
        (httpx.ReadTimeout("slow"), "timed out after 120 s"),
        (httpx.ReadError("cut"), "lost the connection to"),
    ],
)
def test_tells_why_there_is_no_reply(
    serve_with: Callable[[Handler], None], error: httpx.TransportError, phrase: str
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise error

    serve_with(handle)
    done = CliRunner().invoke(
        adapters.app, ["list", "--url", "http://nowhere:1"], env={"COLUMNS": "200"}
    )
    assert done.exit_code == 2
    assert phrase in done.stderr


@pytest.mark.parametrize("url", ["http://far:port", "nowhere:1", ""])
def test_refuses_what_is_not_a_url(url: str) -> None:
    done = CliRunner().invoke(adapters.app, ["list", "--url", url], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "is not a URL" in done.stderr
