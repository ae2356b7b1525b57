"""Output of the chat for a reply: bars of the emotions, the name, the text, and its cost."""

import json
from dataclasses import dataclass
from typing import Any

from httpx_sse import ServerSentEvent
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.emotions import LABELS, Emotion
from models.personas import builtin_personas
from serve.cli.chat.wrapping import WordWrap
from serve.cli.console import NO_CONTROL, problem_text

BAR_WIDTH = 24
TEXT_WIDTH = 88  # cells; longer lines are hard to read
INDENT = 2
CALM = "A calm answer"


@dataclass
class Said:
    """One reply. `speaker` is the name of who answered."""

    speaker: str = ""
    text: str = ""


class ReplyView:
    """Prints one reply while its events arrive. `said` is what was said so far."""

    def __init__(self, console: Console, with_bars: bool = True) -> None:
        """Print to `console`. Without bars the reply starts with the name."""
        self._console = console
        self._with_bars = with_bars
        self._colour = ""
        self._label = ""
        self._wrap: WordWrap | None = None
        self.said = Said()

    def show(self, event: ServerSentEvent) -> None:
        """Print an event."""
        data = json.loads(event.data)
        if event.event == "emotion":
            self._show_emotion(data)
        elif event.event == "safety":
            self._show_safety(data)
        elif event.event == "delta":
            self._show_text(data["text"].translate(NO_CONTROL))
        elif event.event == "done":
            self._show_end(data)
        elif event.event == "error":
            self._print_rest()
            self._console.print(Text(f"\n{problem_text(data)}", style="red"))

    def _show_emotion(self, data: dict[str, Any]) -> None:
        self._label = data["label"]
        if self._with_bars:
            self._console.print(bars(data["scores"]))

    def _show_safety(self, data: dict[str, Any]) -> None:
        self._label = ""
        gentle = data["action"] == "gentle-answer"
        why = "A gentle answer" if gentle else "No emotion answers this one"
        self._console.print(Text(f"{why}: the message seems to speak of harm.", style="bold"))

    def _show_text(self, text: str) -> None:
        if self._wrap is None:
            self._show_name()
            text = text.lstrip()
        assert self._wrap is not None  # noqa: S101 (the name has made it)
        self.said.text += text
        self._print(self._wrap.feed(text))

    def _show_name(self) -> None:
        name = Text(f"{CALM} > ", style="bold")
        if self._label in LABELS:
            persona = builtin_personas()[Emotion(self._label)]
            self._colour = persona.colour
            name = Text(f"{persona.emoji} ").append(persona.name, f"bold {persona.colour}")
            name.append(" > ")
            self.said.speaker = persona.name
        else:
            self.said.speaker = CALM
        width = min(self._console.width, TEXT_WIDTH)
        self._wrap = WordWrap(width, INDENT, cell_len(name.plain))
        self._console.print(name, end="")

    def _show_end(self, data: dict[str, Any]) -> None:
        self._print_rest()
        tokens = data["usage"]["completion_tokens"]
        total_s = data["timings_ms"]["total"] / 1000
        self._console.print(f"\n[dim]{tokens} tokens, {total_s:.1f} s[/]\n")

    def _print_rest(self) -> None:
        if self._wrap is not None:
            self._print(self._wrap.flush())

    def _print(self, text: str) -> None:
        self._console.print(Text(text, style=self._colour), end="", soft_wrap=True)


def bars(scores: dict[str, float]) -> Table:
    """Return one bar per emotion, in the colour of its persona."""
    table = Table.grid(padding=(0, 1))
    for name, score in scores.items():
        persona = builtin_personas()[Emotion(name)]
        bar = Text("█" * round(score * BAR_WIDTH) or "▏", style=persona.colour)
        table.add_row(name, bar, f"{score:.0%}")
    return table
