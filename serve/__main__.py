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
    from serve.cli.processes.supervisor import supervise

    def command() -> int:
        from serve.cli.run import start

        return start(config, scripted, host, port)

    raise typer.Exit(supervise(command))


@app.command()
def chat(host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Chat with a running server."""
    from serve.cli.chat.session import chat

    raise typer.Exit(chat(host, port))


Hardware = Annotated[Path, typer.Option(help="hardware profile", exists=True, dir_okay=False)]
MOST = 1e9  # of anything that is planned
Rate = Annotated[float, typer.Option(min=0.001, max=MOST, help="requests a second")]
Tokens = Annotated[float, typer.Option(min=1, max=MOST, help="tokens, on average")]
Objective = Annotated[float, typer.Option(min=1, max=MOST, help="95th percentile of the TTFT")]
PROFILES = LOCAL.parent / "hardware"


@app.command()
def plan(
    rate: Rate,
    prompt: Tokens = 60,
    answer: Tokens = 60,
    slo_ttft_ms: Objective = 1000,
    hardware: Hardware = PROFILES / "h100.toml",
) -> None:
    """Plan replicas, GPUs and cost for a rate."""
    from serve.capacity.commands import run_plan
    from serve.capacity.plan import Demand

    raise typer.Exit(run_plan(Demand(rate, prompt, answer, slo_ttft_ms), hardware))


@app.command()
def simulate(
    trace: Annotated[list[str] | None, typer.Option(help="diurnal, flash or ramps; all")] = None,
    peak: Rate = 22.5,
    slo_ttft_ms: Objective = 1000,
    hardware: Hardware = PROFILES / "l4-quarter.toml",
    plot: Annotated[Path | None, typer.Option(help="SVG file to write")] = None,
) -> None:
    """Compare the scaling policy with Ray's default and a static fleet, without a cluster."""
    from serve.capacity.commands import run_simulation
    from serve.capacity.simulation.compare import Workload

    workload = Workload(peak_per_s=peak, slo_ttft_ms=slo_ttft_ms)
    raise typer.Exit(run_simulation(workload, trace or [], hardware, plot))


if __name__ == "__main__":
    app()
