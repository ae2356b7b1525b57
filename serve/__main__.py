"""Command line: `python -m serve run` starts the graph, `python -m serve chat` talks to it."""

from pathlib import Path
from typing import Annotated

import typer

from serve.cli import adapters, detect, keys

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Detect the emotion of a message and reply as that persona.",
)
app.add_typer(adapters.app, name="adapters")
app.command()(keys.new_key)
app.command()(detect.detect)

Host = Annotated[str, typer.Option(help="address to bind or to connect to")]
Port = Annotated[int, typer.Option(min=1, max=65535, help="port to bind or to connect to")]
ConfigFile = Annotated[Path, typer.Option(help="Serve config file", exists=True, dir_okay=False)]
Scripted = Annotated[bool, typer.Option(help="deterministic replies without weights")]
LOCAL = Path(__file__).parents[1] / "deploy" / "local.yaml"


@app.command()
def run(
    config: ConfigFile = LOCAL,
    scripted: Scripted = False,
    host: Host = "127.0.0.1",
    port: Port = 8000,
) -> None:
    """Start the graph on this machine and serve until Ctrl-C."""
    from serve.cli.run import start

    raise typer.Exit(start(config, scripted, host, port))


@app.command()
def chat(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Chat with a running server."""
    from serve.cli.chat import chat

    raise typer.Exit(chat(host, port))


if __name__ == "__main__":
    app()
