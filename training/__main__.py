"""Commands: `python -m training detector`, `personas`, `lint-personas`, `evaluate` and `publish`. `--help` explains each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.emotions import LABELS, Emotion
from models.errors import FyeError
from models.manifest import ARTIFACTS

if TYPE_CHECKING:
    from training.recipe import PersonaRecipe

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Produces and measures detectors and persona adapters.")
Data = Annotated[Path | None, typer.Option(help="folder with the public sets; without it they come from the hub", exists=True)]
Recipe = Annotated[str, typer.Option(help="a name in training/recipes, or a TOML file")]
Run = Annotated[Path, typer.Option(help="folder of the run; an interrupted one is resumed")]
Set = Annotated[list[str] | None, typer.Option("--set", help="field=value, laid over the recipe; may be given often")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print the plan: rows, tokens, steps, parameters, memory, time")]
Measure = Annotated[bool, typer.Option("--measure", help="with --dry-run: time real steps instead of estimating")]


@app.command()
def detector(
    recipe: Recipe = "detector-mpnet-base",
    data: Data = None,
    run: Run = Path("runs/detector"),
    overrides: Set = None,
    dry_run: DryRun = False,
    measure: Measure = False,
) -> None:
    """Fine-tune base weights into the six-way detector, or into the judge of the personas."""
    from training.recipe import DetectorRecipe

    chosen = DetectorRecipe.read(recipe, overrides or ())
    if dry_run:
        from training.jobs.plan import plan_detector, print_plan

        print_plan(plan_detector(chosen, data, measure))
    elif chosen.workers > 1:
        from training.jobs.distributed import train_detector_distributed

        typer.echo(train_detector_distributed(chosen, data, run))
    else:
        from training.detector.train import train_detector

        typer.echo(train_detector(chosen, data, run))


@app.command()
def personas(
    persona: Annotated[list[Emotion] | None, typer.Argument(help="which; default: all six")] = None,
    recipe: Recipe = "personas-gemma-3-270m",
    run: Run = Path("runs/personas"),
    overrides: Set = None,
    dry_run: DryRun = False,
    measure: Measure = False,
    parallel: Annotated[
        bool, typer.Option("--parallel", help="one Ray task a persona, with the recipe's worker_cpus and worker_gpus")
    ] = False,
) -> None:
    """Train the persona adapters."""
    from training.personas.unsloth import import_unsloth
    from training.recipe import PersonaRecipe

    chosen = PersonaRecipe.read(recipe, overrides or ())
    import_unsloth(chosen)
    if dry_run:
        from training.jobs.plan import plan_personas, print_plan

        print_plan(plan_personas(chosen, persona or LABELS, measure))
        return
    for folder in _train_personas(chosen, run, persona or list(LABELS), parallel):
        typer.echo(folder)


def _train_personas(recipe: "PersonaRecipe", run: Path, who: list[Emotion], parallel: bool) -> list[Path]:
    if parallel:
        from training.jobs.distributed import train_personas_parallel

        return train_personas_parallel(recipe, run, who)
    from training.personas.train import train_personas

    return train_personas(recipe, run, who)


@app.command()
def lint_personas() -> None:
    """Check the persona pairs: duplicates, echoes, length, forbidden phrases, harm, leakage, counts, vocabulary."""
    from training.datasets.lint.runner import lint_personas, print_findings
    from training.errors import LintError

    findings = lint_personas()
    print_findings(findings)
    if findings:
        raise LintError(f"{len(findings)} findings")


@app.command()
def evaluate(
    data: Data = None,
    detector: Annotated[
        list[Path] | None, typer.Option(help="folder of a detector, may be given often; default: the shipped ones", exists=True)
    ] = None,
    adapters: Annotated[Path, typer.Option(help="folder with an adapter for each persona: a run, or what ships", exists=True)] = ARTIFACTS
    / "adapters",
    base: Annotated[str, typer.Option(help="base weights of the adapters")] = "gemma-3-270m",
    judge: Annotated[Path, typer.Option(help="folder of the judge")] = ARTIFACTS / "judge",
    out: Annotated[Path, typer.Option(help="where report.json and report.html go")] = Path("runs/evaluation"),
    personas: Annotated[bool, typer.Option(help="measure the personas too, which takes some ten minutes on two CPU cores")] = True,
) -> None:
    """Measure detectors and personas, and write one report."""
    from training.evaluation.evaluate import evaluate, shipped_detectors

    evaluate(data, detector or shipped_detectors(), adapters if personas else None, base, judge, out)


@app.command()
def harm(detector: Annotated[Path, typer.Argument(help="a detector's artefact, which gets the probe", exists=True)]) -> None:
    """Fit the probe that tells messages of harm on a detector's features, and measure it."""
    from training.detector.harm_probe import train_harm

    train_harm(detector)


@app.command()
def publish(run: Annotated[Path, typer.Argument(help="a finished run's folder", exists=True)]) -> None:
    """Copy a run's artefacts into models/artifacts/, each with its model card."""
    from training.runs.publish import publish_run

    for folder in publish_run(run):
        typer.echo(folder)


def main() -> None:
    """Errors that this project raises on purpose are one line on the terminal."""
    try:
        app()
    except FyeError as error:
        typer.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
