"""Terminal output that the commands share. It goes to stderr, so that stdout stays clean."""

from rich.console import Console
from rich.markup import escape

from models.errors import FyeError

console = Console(highlight=False, stderr=True)


def print_error(error: FyeError) -> None:
    """Print the error's type and message in one line."""
    console.print(f"[red]{type(error).__name__}:[/] {escape(str(error))}")


def print_step(line: str) -> None:
    """Print one indented line of progress."""
    console.print(f"  {line}")
