"""Manages the adapter versions of a running server: the command `python -m serve adapters`.

The API key is the environment variable FYE_KEY, or that of this machine's operator for a server on
loopback.
"""

from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from serve.cli.console import problem_text
from serve.cli.keys import KEY_VARIABLE, given_key, read_admin_key
from serve.errors import ConfigError

app = typer.Typer(
    no_args_is_help=True,
    help="List, publish, promote, compare and roll back the adapters of a running server.",
)
Folder = Annotated[
    Path, typer.Argument(help="adapter folder, readable by every replica", exists=True)
]
Name = Annotated[str, typer.Argument(help="name of a published version, see `list`")]
Share = Annotated[
    float, typer.Option(min=0.001, max=1, help="share of conversations; below 1 it is a trial")
]
Persona = Annotated[str, typer.Argument(help="name of a persona")]
Url = Annotated[str, typer.Option(help="URL of the server")]
LOCAL = "http://127.0.0.1:8000"
TIMEOUT_S = 120  # publishing waits for every replica


@app.command("list")
def list_adapters(url: Url = LOCAL) -> None:
    """List the resident versions and which of them are promoted."""
    _print_versions(_call(url, "GET", ""))


@app.command()
def status(url: Url = LOCAL) -> None:
    """Compare the versions on trial with those in use, and show trials that the guard ended."""
    trials = _call(url, "GET", "/status")
    for trial in trials:
        _print_trial(trial)
    if not trials:
        Console().print("No version is on trial.")


@app.command()
def publish(folder: Folder, url: Url = LOCAL) -> None:
    """Validate an adapter and load it on every replica, without using it yet."""
    _print_versions(_call(url, "POST", "", {"folder": str(folder.resolve())}))


@app.command()
def promote(name: Name, share: Share = 1, url: Url = LOCAL) -> None:
    """Use a published version for all new requests of its persona, or for a share on trial."""
    part = {"share": share} if share < 1 else {}
    _print_versions(_call(url, "POST", "/promote", {"name": name, **part}))


@app.command()
def rollback(persona: Persona, url: Url = LOCAL) -> None:
    """End a trial, or acknowledge that the guard ended it; else use the previous version again.

    Without a previous version, an added persona is removed.
    """
    _print_versions(_call(url, "POST", "/rollback", {"persona": persona}))


def _call(
    url: str, method: str, path: str, body: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Call the admin API. If it fails, print the reason and exit with status 1."""
    key = _key(url)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    endpoint = f"{url.rstrip('/')}/v1/admin/adapters{path}"
    try:
        reply = httpx.request(method, endpoint, json=body, headers=headers, timeout=TIMEOUT_S)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise typer.BadParameter(_no_reply(url, error)) from error
    found = _json(reply)
    if reply.is_success and isinstance(found, list):
        return found
    typer.secho(_reason(reply, found), fg="red", err=True)
    raise typer.Exit(1)


def _no_reply(url: str, error: httpx.TransportError | httpx.InvalidURL) -> str:
    """Return why there is no reply, and what to do."""
    reason = type(error).__name__
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return f"{url} is not a URL; expected one such as {LOCAL}"
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"cannot connect to {url} ({reason}); check that the server runs"
    if isinstance(error, httpx.TimeoutException):
        return f"{url} timed out after {TIMEOUT_S} s; see `list` for what has changed"
    return f"lost the connection to {url} ({reason}); see `list` for what has changed"


def _key(url: str) -> str | None:
    """Return the key to send. The operator's key never leaves this machine."""
    from serve.api.auth import is_loopback

    try:
        given = given_key()
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        if given or not is_loopback(httpx.URL(url).host):
            return given
        return read_admin_key()
    except ConfigError as error:
        raise typer.BadParameter(f"{error}, or set {KEY_VARIABLE}") from error
    except httpx.InvalidURL as error:
        raise typer.BadParameter(_no_reply(url, error)) from error


def _json(reply: httpx.Response) -> Any:
    """Return the body, None if it is not JSON: a proxy may answer in place of the server."""
    try:
        return reply.json()
    except ValueError:
        return None


def _reason(reply: httpx.Response, found: Any) -> str:
    if isinstance(found, dict) and "detail" in found:
        return problem_text(found)
    status = f"{reply.status_code} {reply.reason_phrase}".strip()
    return f"unexpected reply from {reply.url.host} ({status}); check the URL and the server"


def _print_versions(versions: list[dict[str, Any]]) -> None:
    table = Table("version", "persona", "promoted", "share", "resident on")
    for version in versions:
        promoted = "yes" if version["promoted"] else ""
        replicas = f"{version['resident']} of {version['replicas']} replicas"
        share = f"{version['share']:.1%}" if version["share"] else ""
        table.add_row(version["name"], version["persona"], promoted, share, replicas)
    Console().print(table)


def _print_trial(trial: dict[str, Any]) -> None:
    versions = trial["old"], trial["new"]
    table = Table(trial["persona"], *(f"{one['name']} ({one['share']:.1%})" for one in versions))
    figures = [one["figures"] for one in versions]
    for count in ("answers", "classified"):
        table.add_row(count, *(str(each[count]) for each in figures))
    for measure in ("errors", "cut", "other_emotion"):
        table.add_row(measure, *(_estimate(each[measure], ".1%") for each in figures))
    table.add_row("tokens", *(_estimate(each["tokens"], ".1f") for each in figures))
    Console().print(table)
    ended = trial["rolled_back_at"]
    verdict = f"{trial['verdict']}: rolled back at {ended}" if ended else trial["verdict"]
    reason = f"; {trial['reason']}" if trial["reason"] else ""
    Console(soft_wrap=True).print(f"{verdict}{reason}", highlight=False)


def _estimate(found: dict[str, float] | None, form: str) -> str:
    if found is None:
        return ""
    return f"{found['value']:{form}} ({found['low']:{form}} to {found['high']:{form}})"
