"""Command line: `python -m models verify` checks artifacts, stored adapters and cached weights."""

from pathlib import Path
from typing import Annotated

import typer

from models.store.verify import verify as verify_all

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Artifacts and weights.")
Folders = Annotated[
    list[Path] | None,
    typer.Argument(help="further folders of artifacts or stores", exists=True, file_okay=False),
]


@app.callback()
def main() -> None:
    """Keep `verify` a command of its own."""


@app.command()
def verify(folders: Folders = None) -> None:
    """Compare every artifact on this machine with its manifest or recorded digest.

    The exit status is 1 if one of them is damaged.
    """
    damaged = 0
    for finding in verify_all(folders or ()):
        if finding.problem is None:
            typer.echo(f"ok       {finding.name}")
        else:
            damaged += 1
            typer.echo(f"DAMAGED  {finding.name}: {' '.join(finding.problem.split())}")
    if damaged:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
