"""Labels files: the command `python -m serve detect`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

LOCAL = Path(__file__).parents[2] / "deploy" / "local.yaml"

Sources = Annotated[
    list[str], typer.Argument(help="files or glob patterns; - is stdin", metavar="FILE...")
]
Out = Annotated[
    str | None,
    typer.Option(help="output file, folder for several, or -; default: NAME.labelled.EXT"),
]
Column = Annotated[str, typer.Option(help="column or key that holds the texts")]
Format = Annotated[
    Literal["jsonl", "csv", "parquet"] | None, typer.Option(help="default: by the file's name")
]
Encoding = Annotated[str | None, typer.Option(help="of text files; default: detected")]
Delimiter = Annotated[str | None, typer.Option(help="of CSV; default: detected")]
Errors = Annotated[
    Literal["skip", "fail"], typer.Option(help="on a bad row: go on, or stop without output")
]
Rejects = Annotated[
    Path | None, typer.Option(help="file for bad rows; default: OUT.rejects.jsonl", dir_okay=False)
]
Restart = Annotated[bool, typer.Option("--restart", help="do not continue a run that was stopped")]
Workers = Annotated[int, typer.Option(min=1, help="detectors that share the machine's cores")]
Config = Annotated[
    Path, typer.Option(help="Serve config file with the detector", exists=True, dir_okay=False)
]
Scripted = Annotated[bool, typer.Option(help="deterministic detector without weights")]


def detect(  # noqa: PLR0913, PLR0917 (one parameter per option)
    sources: Sources,
    out: Out = None,
    column: Column = "text",
    format: Format = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    errors: Errors = "skip",
    rejects: Rejects = None,
    restart: Restart = False,
    workers: Workers = 1,
    config: Config = LOCAL,
    scripted: Scripted = False,
) -> None:
    """Label the emotion of every text in files, without a server.

    The exit status is 0 if every row is in order, 3 if some rows were rejected or have no label,
    1 if a file has no output.
    """
    from serve.batch.formats.registry import ReadOptions
    from serve.cli.detect_run import Arguments, run_detect

    delimiter = "\t" if delimiter in ("tab", "\\t") else delimiter
    if delimiter is not None and len(delimiter) != 1:
        raise typer.BadParameter("expected one character, or tab", param_hint="--delimiter")
    given = Arguments(
        sources=sources,
        out=out,
        rejects=rejects,
        read=ReadOptions(column, format, encoding, delimiter),
        config_file=None if scripted else config,
        workers=workers,
        stop_at_problem=errors == "fail",
        restart=restart,
    )
    raise typer.Exit(run_detect(given))
