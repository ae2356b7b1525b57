"""`python -m serve adapters`: releases of adapters on a running server. The key comes from the environment variable FYE_KEY."""

import os
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="List, publish, promote and roll back the adapters of a running server.")
Folder = Annotated[Path, typer.Argument(help="an adapter's folder, readable by every replica", exists=True)]
Url = Annotated[str, typer.Option(help="the server")]
LOCAL = "http://127.0.0.1:8000"
TIMEOUT_S = 120  # a publication waits for every replica


@app.command("list")
def list_adapters(url: Url = LOCAL) -> None:
    """Every version that is resident, and which ones answer."""
    _show(_call(url, "GET", ""))


@app.command()
def publish(folder: Folder, url: Url = LOCAL) -> None:
    """Check an adapter and make it resident on every replica; it answers nobody yet."""
    _show(_call(url, "POST", "", {"folder": str(folder.resolve())}))


@app.command()
def promote(name: Annotated[str, typer.Argument(help="a version, as `list` shows it")], url: Url = LOCAL) -> None:
    """Have that version answer."""
    _show(_call(url, "POST", "/promote", {"name": name}))


@app.command()
def rollback(persona: Annotated[str, typer.Argument(help="a persona's name")], url: Url = LOCAL) -> None:
    """Have the version before answer again; a persona beside the six that has none before is gone."""
    _show(_call(url, "POST", "/rollback", {"persona": persona}))


def _call(url: str, method: str, path: str, body: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The server's reply; what it refuses ends the command with its own words."""
    key = os.environ.get("FYE_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        reply = httpx.request(method, f"{url}/v1/admin/adapters{path}", json=body, headers=headers, timeout=TIMEOUT_S)
    except httpx.TransportError as error:
        raise typer.BadParameter(f"nobody answers at {url}: {type(error).__name__}") from error
    if reply.is_error:
        typer.secho(reply.json().get("detail", reply.status_code), fg="red", err=True)
        raise typer.Exit(1)
    found: list[dict[str, Any]] = reply.json()
    return found


def _show(versions: list[dict[str, Any]]) -> None:
    table = Table("version", "persona", "answers", "resident on")
    for version in versions:
        answers = "yes" if version["answers"] else ""
        table.add_row(version["name"], version["persona"], answers, f"{version['resident']} of {version['replicas']} replicas")
    Console().print(table)
