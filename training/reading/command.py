"""Commands of a reading: `python -m training reading draw`, `sheet` and `merge`."""

from pathlib import Path
from typing import Annotated

import typer

from models.manifest import ARTIFACTS

app = typer.Typer(no_args_is_help=True, help="Have people read answers, blind to the system.")

Seed = Annotated[int, typer.Option(help="seed of the random choices")]


@app.command()
def draw(
    out: Annotated[Path, typer.Argument(help="JSONL file of answers to write")],
    adapters: Annotated[
        Path, typer.Option(help="folder with an adapter per persona", exists=True)
    ] = ARTIFACTS / "adapters",
    base: Annotated[str, typer.Option(help="base weights of the adapters")] = "gemma-3-270m",
    per_persona: Annotated[int, typer.Option(min=1, help="messages of each persona")] = 16,
    samples: Annotated[int, typer.Option(min=1, help="answers to each message")] = 1,
    references: Annotated[
        bool, typer.Option("--references", help="write the written references instead")
    ] = False,
    seed: Seed = 0,
) -> None:
    """Draw the answers of one system to held-out messages."""
    from training.reading.draw import Draw, draw_answers, reference_answers
    from training.reading.sheet import write_answers
    from training.runs.progress import console

    if references:
        answers = reference_answers(per_persona)
    else:
        answers = draw_answers(base, adapters, Draw(per_persona, samples, seed), console.print)
    write_answers(answers, out)
    typer.echo(out)


@app.command()
def sheet(
    system: Annotated[list[str], typer.Argument(help="NAME=FILE, a file of answers; repeatable")],
    out: Annotated[Path, typer.Option(help="folder of the sheet and its key")] = Path("reading"),
    answers: Annotated[
        int | None, typer.Option(min=1, help="answers of each system; default: all")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Write answers of several systems in random order, without names, and the key."""
    from training.errors import ReadingError
    from training.reading.sheet import read_answers, write_sheet

    systems = {}
    for entry in system:
        name, separator, file = entry.partition("=")
        if not separator:
            raise ReadingError(f"invalid system {entry!r}: expected NAME=FILE")
        systems[name] = read_answers(Path(file))
    for written in write_sheet(systems, out, answers, seed):
        typer.echo(written)


@app.command()
def merge(
    key: Annotated[Path, typer.Argument(help="key.csv of the sheet", exists=True)],
    readers: Annotated[list[Path], typer.Argument(help="copies of the sheet with marks")],
    out: Annotated[Path | None, typer.Option(help="JSON file of the result")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="JSONL file of marked answers, to train a critic on")
    ] = None,
) -> None:
    """Merge the readers' marks (0, 1 or 2) into shares, intervals and agreement."""
    from training.datasets.read_labels import write_labels
    from training.reading.merge import labelled_answers, merge, reading_table
    from training.runs.progress import console

    result = merge(key, readers)
    if out:
        out.write_text(result.model_dump_json(indent=2) + "\n", "utf-8")
    if labels:
        write_labels(labelled_answers(key, readers), labels)
    console.print(reading_table(result))
