"""Tables of a plan, as `--dry-run` prints them."""

from collections.abc import Callable
from datetime import timedelta

from rich.table import Table

from training.jobs.cards import CONTEXT_GIB, LAYER_S, MARGIN, START_S, UTILISATION, Fit
from training.jobs.plan import Plan
from training.runs.progress import console

STAGE_COLUMNS = ("stage", "rows", "tokens", "answer tokens", "longest", "epochs", "steps")
CARDS_NOTE = (
    f"Derived, not measured. Memory: shapes, rules of thumb for activations, {MARGIN - 1:.0%} and "
    f"{CONTEXT_GIB:g} GiB on top. Computing: {UTILISATION:.0%} of the card's bf16 peak, or "
    f"{LAYER_S * 1000:g} ms a layer and batch if that is longer. Start: {START_S:g} s a process. "
    "The first two rows are batch_size and accumulation_steps of the recipe."
)


def print_plan(plan: Plan) -> None:
    """Print a table of the stages, one of what they need, and one of the cards that fit."""
    console.print(_stages_table(plan), _needs_table(plan))
    if plan.fits:
        console.print(_cards_table(plan), CARDS_NOTE)


def _stages_table(plan: Plan) -> Table:
    table = Table(*STAGE_COLUMNS, title=f"{plan.base} on {plan.device}")
    for stage in plan.stages:
        counts = (stage.rows, stage.tokens, stage.answer_tokens, stage.longest)
        formatted = [f"{count:,}" for count in counts]
        table.add_row(stage.name, *formatted, f"{stage.epochs:g}", f"{stage.steps:,}")
    return table


def _needs_table(plan: Plan) -> Table:
    memory = ", ".join(f"{part} {gib:.2f}" for part, gib in plan.memory)
    parameters = f"{plan.trainable_parameters:,} trained of {plan.all_parameters:,}"
    table = Table("need", "amount", show_header=False)
    table.add_row("backend", plan.backend)
    table.add_row("parameters", parameters)
    table.add_row("memory", f"about {plan.memory.total:.1f} GiB: {memory}")
    time = plan.time_basis
    if plan.seconds is not None:
        time = f"{timedelta(seconds=round(plan.seconds))}: {time}"
    table.add_row("time", time)
    return table


def _cards_table(plan: Plan) -> Table:
    """Build the table of the cards, with the settings that fit each."""
    table = Table("", *(f"{fit.card_gb} GB ({fit.card})" for fit in plan.fits))
    for name, value in _cards_rows(plan.backend == "unsloth"):
        table.add_row(name, *map(value, plan.fits))
    return table


def _cards_rows(always_saves: bool) -> list[tuple[str, Callable[[Fit], str]]]:
    """Return the rows of the cards' table, by name."""
    return [
        ("rows of a batch", lambda fit: str(fit.batch_size)),
        ("batches of a step", lambda fit: str(fit.accumulation_steps)),
        (
            "checkpointing",
            lambda fit: "always" if always_saves else str(fit.gradient_checkpointing).lower(),
        ),
        ("frozen weights", lambda fit: _gib(fit.memory.frozen)),
        ("trained weights", lambda fit: _gib(fit.memory.gradients)),
        ("their gradients", lambda fit: _gib(fit.memory.gradients)),
        ("optimizer (AdamW)", lambda fit: _gib(fit.memory.optimizer)),
        ("activations", lambda fit: _gib(fit.memory.activations)),
        ("CUDA and margin", lambda fit: _gib(fit.needed_gib - fit.memory.total)),
        ("memory in all", _in_all),
        ("computing", lambda fit: _minutes(fit.computing_s)),
        ("start of processes", lambda fit: _minutes(fit.starting_s)),
        ("time in all", lambda fit: _minutes(fit.computing_s + fit.starting_s)),
    ]


def _gib(gib: float) -> str:
    return f"{gib:.2f} GiB"


def _in_all(fit: Fit) -> str:
    verdict = "" if fit.fits else ": too large"
    return f"{fit.needed_gib:.1f} of {fit.card_gib:.1f} GiB{verdict}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min"
