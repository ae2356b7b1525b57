"""Creates API keys: the command `python -m serve new-key`."""

import json
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(help="name of the key's owner")]
Scopes = Annotated[list[str], typer.Option(help="respond, detect or admin; can be repeated")]


def new_key(name: Name, scope: Scopes = ["respond", "detect"]) -> None:  # noqa: B006
    """Print a new API key, and the lines for the key file."""
    from serve.api.auth import new_secret, sha256_of

    secret = new_secret()
    typer.echo(f"# the key; it cannot be shown again: {secret}", err=True)
    digest = sha256_of(secret)
    scopes = json.dumps(scope)
    typer.echo(f'[[keys]]\nname = "{name}"\nsha256 = "{digest}"\nscopes = {scopes}')
