"""Commands: `python -m training detector`, `personas`, `evaluate` and `publish`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Produces and measures detectors and persona adapters.")
Data = Annotated[Path | None, typer.Option(help="folder with the public sets; without it they come from the hub", exists=True)]
Run = Annotated[Path, typer.Option(help="folder of the run; an interrupted one is resumed")]
Set = Annotated[list[str] | None, typer.Option("--set", help="field=value, laid over the recipe; may be given often")]


@app.command()
def detector(
    recipe: Annotated[str, typer.Option(help="a name in training/recipes, or a TOML file")] = "detector-mpnet-base",
    data: Data = None,
    run: Run = Path("runs/detector"),
    overrides: Set = None,
) -> None:
    """Fine-tune base weights into the six-way detector, or into the judge of the personas."""
    from training.detector import train_detector
    from training.recipe import DetectorRecipe

    typer.echo(train_detector(DetectorRecipe.read(recipe, overrides or ()), data, run))


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
