"""Command line of training: `python -m training COMMAND`; `--help` describes each command.

Each command imports what it needs when it runs: Unsloth must be imported before transformers, and
`--help` needs neither.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.emotions import LABELS, Emotion
from models.errors import FyeError
from models.manifest import ARTIFACTS, SAFETY_ARTIFACT
from training.reading.command import app as reading

if TYPE_CHECKING:
    from training.recipe import PersonaRecipe

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Train, evaluate and publish detectors and persona adapters.",
)
app.add_typer(reading, name="reading")

Data = Annotated[
    Path | None,
    typer.Option(help="folder of the public data sets; default: download them", exists=True),
]
Recipe = Annotated[str, typer.Option(help="a name in training/recipes, or a TOML file")]
Run = Annotated[Path, typer.Option(help="folder of the run; an interrupted run is resumed")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="field=value that replaces a field of the recipe; repeatable"),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="print the plan: rows, tokens, steps, parameters, memory, time"),
]
Measure = Annotated[
    bool, typer.Option("--measure", help="with --dry-run: time real steps instead of estimating")
]
Parallel = Annotated[
    bool,
    typer.Option(
        "--parallel",
        help="one Ray task per persona, with the recipe's worker_cpus and worker_gpus",
    ),
]
Detectors = Annotated[
    list[Path] | None,
    typer.Option(help="folder of a detector; repeatable; default: all that ship", exists=True),
]
Adapters = Annotated[
    Path,
    typer.Option(help="folder with an adapter per persona: a run, or those that ship", exists=True),
]


@app.command()
def detector(
    recipe: Recipe = "detector-mpnet-base",
    data: Data = None,
    run: Run = Path("runs/detector"),
    overrides: Overrides = None,
    dry_run: DryRun = False,
    measure: Measure = False,
) -> None:
    """Fine-tune base weights into the six-way detector, or into the judge of the personas."""
    from training.recipe import DetectorRecipe

    chosen = DetectorRecipe.read(recipe, overrides or ())
    if dry_run:
        from training.jobs.plan import plan_detector
        from training.jobs.plan_table import print_plan

        print_plan(plan_detector(chosen, data, measure))
    elif chosen.workers > 1:
        from training.jobs.distributed import train_detector_distributed

        typer.echo(train_detector_distributed(chosen, data, run))
    else:
        from training.detector.train import train_detector

        typer.echo(train_detector(chosen, data, run))


@app.command()
def personas(
    persona: Annotated[
        list[Emotion] | None, typer.Argument(help="personas to train; default: all six")
    ] = None,
    recipe: Recipe = "personas-gemma-3-270m",
    run: Run = Path("runs/personas"),
    overrides: Overrides = None,
    dry_run: DryRun = False,
    measure: Measure = False,
    parallel: Parallel = False,
) -> None:
    """Train the persona adapters."""
    from training.recipe import PersonaRecipe

    chosen = PersonaRecipe.read(recipe, overrides or ())
    if dry_run:
        from training.personas.unsloth import import_unsloth

        if measure:
            import_unsloth(chosen)
        from training.jobs.plan import plan_personas
        from training.jobs.plan_table import print_plan

        print_plan(plan_personas(chosen, persona or LABELS, measure))
        return
    for folder in _train_personas(chosen, run, persona or list(LABELS), parallel):
        typer.echo(folder)


def _train_personas(
    recipe: "PersonaRecipe", run: Path, chosen: list[Emotion], parallel: bool
) -> list[Path]:
    if parallel:
        from training.jobs.distributed import train_personas_parallel

        return train_personas_parallel(recipe, run, chosen)
    from models.machine.precision import has_gpu

    if has_gpu():
        from training.jobs.processes import train_personas_in_processes

        return train_personas_in_processes(recipe, run, chosen)
    from training.personas.train import train_personas

    return train_personas(recipe, run, chosen)


@app.command()
def lint_personas() -> None:
    """Check the persona pairs against the rules of the linter."""
    from training.datasets.lint.runner import lint_personas, print_findings
    from training.errors import LintError

    findings = lint_personas()
    print_findings(findings)
    if findings:
        raise LintError(f"{len(findings)} findings in the persona pairs: fix the lines listed")


@app.command()
def evaluate(
    data: Data = None,
    detector: Detectors = None,
    adapters: Adapters = ARTIFACTS / "adapters",
    base: Annotated[str, typer.Option(help="base weights of the adapters")] = "gemma-3-270m",
    judge: Annotated[Path, typer.Option(help="folder of the judge")] = ARTIFACTS / "judge",
    out: Annotated[Path, typer.Option(help="folder of the report")] = Path("runs/evaluation"),
    personas: Annotated[
        bool, typer.Option(help="measure the personas too: about ten minutes on two CPU cores")
    ] = True,
) -> None:
    """Measure detectors and personas, and write one report as JSON and HTML."""
    from training.evaluation.evaluate import evaluate, shipped_detectors
    from training.evaluation.personas import PersonaArtifacts

    artifacts = PersonaArtifacts(base, adapters, judge) if personas else None
    evaluate(data, detector or shipped_detectors(), artifacts, out)


@app.command()
def intensity(
    adapters: Adapters = ARTIFACTS / "adapters",
    base: Annotated[str, typer.Option(help="base weights of the adapters")] = "gemma-3-270m",
    judge: Annotated[Path, typer.Option(help="folder of the judge")] = ARTIFACTS / "judge",
    out: Annotated[Path, typer.Option(help="folder of page, plot and answers")] = Path(
        "runs/intensity"
    ),
    per_persona: Annotated[
        int | None, typer.Option(min=1, help="messages of each persona; default: all 40")
    ] = None,
) -> None:
    """Measure the answers of all personas at intensities of 0, 0.5, 1 and 1.5."""
    from models.weights.cache import materialize
    from training.evaluation.intensity.curve import CurveSettings, answer_levels, curve_of
    from training.evaluation.intensity.page import write_curve
    from training.evaluation.personas import PersonaArtifacts
    from training.evaluation.sense.encoder import SentenceEncoder
    from training.runs.machine import prepare_machine
    from training.runs.progress import console, quiet_libraries

    quiet_libraries()
    prepare_machine()
    artifacts = PersonaArtifacts(base, adapters, judge)
    encoder = SentenceEncoder(materialize(artifacts.encoder).folder)
    answers = answer_levels(artifacts, CurveSettings(per_persona=per_persona), console.print)
    typer.echo(write_curve(curve_of(answers, encoder), answers, base, out))


@app.command()
def safety(
    recipe: Recipe = "safety-minilm-l6",
    run: Run = Path("runs/safety"),
    overrides: Overrides = None,
) -> None:
    """Train the classifier that finds messages about harm."""
    from training.recipe import SafetyRecipe
    from training.safety.train import train_safety

    typer.echo(train_safety(SafetyRecipe.read(recipe, overrides or ()), run))


@app.command()
def evaluate_safety(
    artifact: Annotated[
        Path, typer.Option(help="folder of the safety classifier", exists=True)
    ] = SAFETY_ARTIFACT,
) -> None:
    """Measure the safety classifier on unseen messages, and write its model card."""
    from models.safety.classifier import SafetyClassifier
    from training.safety.card import write_card
    from training.safety.measure import measure

    typer.echo(write_card(artifact, measure(SafetyClassifier(artifact))))


@app.command()
def prefer(
    labels: Annotated[
        list[Path],
        typer.Option(help="answers of the adapters that readers marked; repeatable", exists=True),
    ],
    recipe: Recipe = "preference-gemma-3-270m",
    adapters: Adapters = ARTIFACTS / "adapters",
    run: Run = Path("runs/preference"),
    overrides: Overrides = None,
) -> None:
    """Train the adapters to prefer those of their own answers that readers marked higher."""
    from training.personas.preference import train_preference
    from training.recipe import PreferenceRecipe

    settings = PreferenceRecipe.read(recipe, overrides or ())
    for folder in train_preference(settings, adapters, labels, run):
        typer.echo(folder)


@app.command()
def critic(
    recipe: Recipe = "critic-minilm-l6",
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="file that `reading merge --labels` wrote; repeatable", exists=True),
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="critic to go on from, the artifact of a run", exists=True)
    ] = None,
    run: Run = Path("runs/critic"),
    overrides: Overrides = None,
) -> None:
    """Train the critic, which scores if an answer makes sense for its message, and measure it."""
    from training.critic.train import train_critic
    from training.recipe import CriticRecipe

    settings = CriticRecipe.read(recipe, overrides or ())
    typer.echo(train_critic(settings, labels or [], run, start))


@app.command()
def measure_critic(
    critic: Annotated[Path, typer.Argument(help="folder of the critic", exists=True)],
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="answers that readers marked; repeatable", exists=True),
    ] = None,
) -> None:
    """Measure a critic on held-out messages and on the held-out third of the marked answers."""
    from training.critic.evaluate import critic_metrics
    from training.datasets.read_labels import read_labels

    for name, value in critic_metrics(critic, read_labels(labels or [])).items():
        typer.echo(f"{name}  {value:.4f}")


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="folder of a finished run", exists=True)],
    to: Annotated[
        Path | None, typer.Option(help="folder; default: models/artifacts, for small artefacts")
    ] = None,
    hub: Annotated[
        str | None, typer.Option(help="OWNER/NAME of a hub repository; made private if it is new")
    ] = None,
    large: Annotated[
        bool, typer.Option("--large", help="allow more than 10 MiB in models/artifacts")
    ] = False,
    unpinned: Annotated[
        bool, typer.Option("--unpinned", help="allow base weights without a fixed commit")
    ] = False,
) -> None:
    """Copy the artefacts of a run into models/artifacts/, each with its model card."""
    from training.runs.publish import publish_run, publish_to_hub

    if hub:
        typer.echo(publish_to_hub(run, hub, unpinned=unpinned))
        return
    for folder in publish_run(run, to or ARTIFACTS, large=large, unpinned=unpinned):
        typer.echo(folder)


def main() -> None:
    """Run a command, and print an error of this project as one line."""
    try:
        app()
    except FyeError as error:
        typer.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
