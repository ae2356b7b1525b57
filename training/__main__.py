"""Commands: `python -m training detector`, `personas`, `evaluate` and `publish`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Produces and measures detectors and persona adapters.")
Data = Annotated[Path | None, typer.Option(help="folder with the public sets; without it they come from the hub", exists=True)]
Run = Annotated[Path, typer.Option(help="folder of the run; an interrupted one is resumed")]
Seed = Annotated[int, typer.Option(help="decides the order of the data and the initial weights")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; default: torch's own choice", min=1)]


@app.command()
def detector(
    data: Data = None,
    run: Run = Path("runs/detector"),
    base: Annotated[str, typer.Option(help="name in models/catalog.toml, or a folder")] = "minilm-l6",
    epochs: float = 2,
    learning_rate: Annotated[float, typer.Option(help="for a base of BERT's size take 3e-5")] = 1e-4,
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Fine-tune an encoder into the six-way detector."""
    from training.detector import DetectorRecipe, train_detector

    recipe = DetectorRecipe(base=base, epochs=epochs, learning_rate=learning_rate, seed=seed, threads=threads)
    typer.echo(train_detector(recipe, data, run))


@app.command()
def personas(
    persona: Annotated[list[str] | None, typer.Argument(help="which; default: all six")] = None,
    run: Run = Path("runs/personas"),
    base: Annotated[str, typer.Option(help="name in models/catalog.toml, or a folder")] = "gemma-3-270m",
    epochs: float = 1,
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Train the persona adapters."""
    from models.emotions import LABELS, Emotion
    from training.personas import PersonaRecipe, train_personas

    recipe = PersonaRecipe(base=base, epochs=epochs, seed=seed, threads=threads)
    for folder in train_personas(recipe, run, [Emotion(name) for name in persona] if persona else LABELS):
        typer.echo(folder)


@app.command()
def evaluate(
    data: Data = None, artifact: Annotated[Path | None, typer.Option(help="default: the shipped one", exists=True)] = None
) -> None:
    """Measure a detector on the sets' evaluation splits and on ordinary messages of unseen topics."""
    from training.evaluate import evaluate_detector

    evaluate_detector(artifact, data)


@app.command()
def publish(run: Annotated[Path, typer.Argument(help="a finished run's folder", exists=True)]) -> None:
    """Copy a run's artefacts into models/artifacts/, each with its model card."""
    from training.publish import publish_run

    for folder in publish_run(run):
        typer.echo(folder)


if __name__ == "__main__":
    app()
