"""Tables of a plan, as `--dry-run` prints them."""

from datetime import timedelta

from rich.table import Table

from training.jobs.cards import UTILISATION
from training.jobs.plan import Plan
from training.runs.progress import console

STAGE_COLUMNS = ("stage", "rows", "tokens", "answer tokens", "longest", "epochs", "steps")
CARD_COLUMNS = ("card", "batch", "batches", "checkpointing", "memory", "time")


def print_plan(plan: Plan) -> None:
    """Print a table of the stages, one of what they need, and one of the cards that fit."""
    console.print(_stages_table(plan), _needs_table(plan))
    if plan.fits:
        console.print(_cards_table(plan))


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
    """Build the table of the cards, with the settings that fit each.

    They are the fields batch_size, accumulation_steps and gradient_checkpointing of a recipe.
    """
    note = f"estimated at {UTILISATION:.0%} of the bf16 peak, without the loading of each stage"
    table = Table(*CARD_COLUMNS, title="rows of a batch, batches of a step", caption=note)
    for fit in plan.fits:
        checkpointing = "always" if plan.backend == "unsloth" else str(fit.gradient_checkpointing)
        table.add_row(
            f"{fit.card_gib} GB ({fit.card})",
            str(fit.batch_size),
            str(fit.accumulation_steps),
            checkpointing.lower(),
            f"{fit.needed_gib:.1f} GiB" if fit.fits else f"{fit.needed_gib:.1f}: too large",
            f"{fit.hours * 60:,.0f} min",
        )
    return table
