"""The chat itself: it reads lines, sends messages, and knows the commands."""

import asyncio
import readline  # noqa: F401 (gives `input` the arrow keys and the lines of this chat)
import sys
from dataclasses import dataclass, field
from io import TextIOWrapper

import httpx
from httpx_sse import ServerSentEvent
from rich.console import Console
from rich.text import Text

from models.emotions import LABELS
from serve.cli.address import authority
from serve.cli.chat.client import TIMEOUT_S, open_client, stream_events
from serve.cli.chat.display import ReplyView, Said
from serve.errors import ConfigError
from serve.responder.mix import MAX_INTENSITY, MAX_SHARE

HELP = """\
/all TEXT   the answers of all six personas; without TEXT, to the last message again
/blend joy 0.7 surprise 0.3   these personas answer together; /blend alone ends it
/intensity 1.2                how strongly, from 0 to 1.5; /intensity alone is 1
/history    what was said in this chat
/help       this list
Ctrl-C stops an answer. An empty line or Ctrl-D ends the chat. The arrow keys bring back what you
typed."""
PROMPT = "You > "
BOLD_PROMPT = "\1\x1b[1m\2You\1\x1b[0m\2 > "  # \1 and \2 enclose what readline must not count
console = Console(highlight=False)  # stdout, because the chat is this command's output


def chat(host: str, port: int) -> int:
    """Chat until an empty line or end of input, and return an exit status."""
    try:
        client = open_client(host, port)
    except ConfigError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    for stream in (sys.stdin, sys.stdout):  # of any encoding, they never end the chat
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    console.print("Type a message, or /help. An empty line or Ctrl-D ends the chat.", style="dim")
    with asyncio.Runner() as runner:
        try:
            _talk(runner, Session(client))
        except (EOFError, KeyboardInterrupt):
            pass
        except (httpx.ConnectError, httpx.ConnectTimeout):
            console.print(
                f"Cannot connect to {authority(host, port)}. Start the server first: make serve",
                style="red",
            )
            return 1
        except httpx.TimeoutException:
            address = authority(host, port)
            console.print(f"\n{address} timed out after {TIMEOUT_S} s", style="red")
            return 1
        except httpx.TransportError as error:
            reason = type(error).__name__
            console.print(
                f"\nLost the connection to {authority(host, port)}: {reason}", style="red"
            )
            return 1
        finally:
            runner.run(client.aclose())
    return 0


def _talk(runner: asyncio.Runner, session: "Session") -> None:
    """Read and handle lines until an empty one. Ctrl-C stops an answer, or the chat between two."""
    while line := input(_prompt()).strip():
        try:
            runner.run(session.take(line))
        except KeyboardInterrupt:
            console.print("\nstopped", style="dim")


def _prompt() -> str:
    """Return the prompt. `input` prints it, so that readline knows its width."""
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not console.is_dumb_terminal
    return BOLD_PROMPT if on_terminal else PROMPT


@dataclass
class Session:
    """One chat.

    Attributes:
        history: each message with its replies, oldest first, also those that were stopped.
        mix: fields `blend` and `intensity` of the next requests, as far as they are set.
    """

    client: httpx.AsyncClient
    history: list[tuple[str, list[Said]]] = field(default_factory=list)
    mix: dict[str, object] = field(default_factory=dict)

    async def take(self, line: str) -> None:
        """Handle one line: a message or a command."""
        command, _, rest = line.partition(" ")
        if command == "/all":
            await self._ask_all(rest.strip())
        elif command in {"/blend", "/intensity"}:
            self._set_mix(command[1:], rest.split())
        elif command == "/history":
            self._show_history()
        elif command == "/help":
            console.print(HELP, markup=False)
        elif command.startswith("/"):
            console.print(f"unknown command {command}; /help lists the commands", markup=False)
        else:
            await self._ask(line)

    def _set_mix(self, name: str, words: list[str]) -> None:
        """Set a field of the mix, or remove it. The server says what is wrong with it."""
        try:
            value = blend_of(words) if name == "blend" else intensity_of(*words)
        except (TypeError, ValueError):
            limit = MAX_SHARE if name == "blend" else MAX_INTENSITY
            problem = f"is not understood; numbers are from 0 to {limit:g}; /help shows an example"
            console.print(f"/{name} {problem}", markup=False)
            return
        self.mix.pop(name, None)
        if words:
            self.mix[name] = value
        console.print(f"the next answers: {self.mix or 'as trained'}", markup=False)

    async def _ask(self, text: str) -> None:
        view = ReplyView(console)
        self.history.append((text, [view.said]))
        async for event in stream_events(self.client, text, mix=self.mix):
            view.show(event)

    async def _ask_all(self, text: str) -> None:
        """Ask the six at once, and show their answers one after the other."""
        text = text or (self.history[-1][0] if self.history else "")
        if not text:
            console.print("there is no message yet; type /all and a message")
            return

        alone = {name: value for name, value in self.mix.items() if name != "blend"}

        async def whole(label: str) -> list[ServerSentEvent]:
            return [event async for event in stream_events(self.client, text, label, alone)]

        views = [ReplyView(console, with_bars=False) for _ in LABELS]
        self.history.append((text, [view.said for view in views]))
        answers = [asyncio.create_task(whole(label)) for label in LABELS]
        try:
            for view, answer in zip(views, answers, strict=True):
                for event in await answer:
                    view.show(event)
        finally:  # one that failed or Ctrl-C ends the others too
            for answer in answers:
                answer.cancel()
            await asyncio.gather(*answers, return_exceptions=True)

    def _show_history(self) -> None:
        for text, replies in self.history:
            console.print(Text("You > ", style="bold").append(text, style="default not bold"))
            for said in replies:
                name = Text(f"{said.speaker or 'no answer'} > ", style="bold")
                console.print(name.append(said.text.rstrip(), style="default not bold"))


def blend_of(words: list[str]) -> dict[str, float]:
    """Return the shares of words such as `joy 0.7 surprise 0.3`. Raises ValueError."""
    pairs = zip(words[::2], words[1::2], strict=True)
    return {persona: _number(share, MAX_SHARE) for persona, share in pairs}


def intensity_of(word: str = "1") -> float:
    """Return the intensity that a word states. Raises ValueError."""
    return _number(word, MAX_INTENSITY)


def _number(word: str, limit: float) -> float:
    """Return a number from 0 to `limit`. Raises ValueError for any other, as for `nan`."""
    number = float(word)
    if not 0 <= number <= limit:
        raise ValueError(f"expected a number from 0 to {limit:g}")
    return number
