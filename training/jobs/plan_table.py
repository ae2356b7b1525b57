"""Tables of a plan, as `--dry-run` prints them."""

from datetime import timedelta

from rich.table import Table

from training.jobs.plan import Plan
from training.runs.progress import console

STAGE_COLUMNS = ("stage", "rows", "tokens", "answer tokens", "longest", "epochs", "steps")


def print_plan(plan: Plan) -> None:
    """Print a table of the stages, and one of what they need."""
    console.print(_stages_table(plan), _needs_table(plan))


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
    table.add_row("time", f"{timedelta(seconds=round(plan.seconds))}: {plan.time_basis}")
    return table
