"""Commands: `python -m serve run` starts the graph, `python -m serve chat` talks to it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from serve.cli import adapters

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Answers what people feel, as what they feel.")
app.add_typer(adapters.app, name="adapters")
Host = Annotated[str, typer.Option(help="address to bind, or to talk to")]
Port = Annotated[int, typer.Option(min=1, max=65535)]
LOCAL = Path(__file__).parents[1] / "deploy" / "local.yaml"


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="a Serve config file", exists=True, dir_okay=False)] = LOCAL,
    scripted: Annotated[bool, typer.Option(help="no weights: a deterministic engine, for a look at the API")] = False,
    host: Host = "127.0.0.1",
    port: Port = 8000,
) -> None:
    """Start the graph on this machine and serve until Ctrl-C."""
    from serve.cli.run import start

    raise typer.Exit(start(config, scripted, host, port))


@app.command()
def detect(
    source: Annotated[Path, typer.Argument(help="a .jsonl, .csv or .parquet file", exists=True, dir_okay=False)],
    out: Annotated[Path | None, typer.Option(help="where the labelled rows go; default: NAME.labelled beside the file")] = None,
    column: Annotated[str, typer.Option(help="the column that holds the texts")] = "text",
    workers: Annotated[int, typer.Option(min=1, help="detectors at once, which share the machine's cores")] = 1,
    config: Annotated[Path, typer.Option(help="a Serve config file, of which the detector is used", exists=True, dir_okay=False)] = LOCAL,
    scripted: Annotated[bool, typer.Option(help="no weights: a deterministic detector")] = False,
) -> None:
    """Label the emotion of every text in a file, without a server."""
    from serve.detector.batch_job import start

    out = out or source.with_name(f"{source.stem}.labelled{source.suffix}")
    raise typer.Exit(start(source, out, column, None if scripted else config, workers))


@app.command()
def new_key(
    name: Annotated[str, typer.Argument(help="who gets it")],
    scope: Annotated[list[str], typer.Option(help="respond, detect or admin; may be given often")] = ["respond", "detect"],  # noqa: B006
) -> None:
    """Print a new API key, once, and the lines that go into the file of keys."""
    from serve.api.auth import new_secret, sha256_of

    secret = new_secret()
    typer.echo(f"# the key, which nobody can show again: {secret}", err=True)
    typer.echo(f'[[keys]]\nname = "{name}"\nsha256 = "{sha256_of(secret)}"\nscopes = {json.dumps(scope)}')


@app.command()
def chat(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Talk to the running server."""
    from serve.cli.chat import chat

    raise typer.Exit(chat(host, port))


if __name__ == "__main__":
    app()
