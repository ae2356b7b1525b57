"""Terminal output that the commands share. It goes to stderr, so that stdout stays clean."""

import unicodedata
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from models.errors import FyeError

console = Console(highlight=False, stderr=True)
# A terminal acts on control characters: white space among them is a blank, others are dropped.
NO_CONTROL = {
    code: " " if chr(code).isspace() else None
    for code in range(0xA0)
    if unicodedata.category(chr(code)) == "Cc" and chr(code) not in "\n\t"
}


def print_error(error: FyeError) -> None:
    """Print the error's type and message in one line."""
    console.print(f"[red]{type(error).__name__}:[/] {escape(str(error))}")


def problem_text(problem: Mapping[str, Any]) -> str:
    """Return what problem details say is wrong, with the fields that are not valid."""
    fields = [f"{error['field']}: {error['problem']}" for error in problem.get("errors", [])]
    return "; ".join([str(problem["detail"]), *fields]).translate(NO_CONTROL)


def print_step(line: str) -> None:
    """Print one indented line of progress."""
    console.print(f"  {line}")
