"""The chat itself: it reads lines, sends messages, and knows the commands."""

import readline  # noqa: F401 (gives `input` the arrow keys and the lines of this chat)
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
from httpx_sse import ServerSentEvent
from rich.console import Console
from rich.text import Text

from models.emotions import LABELS
from serve.cli.chat.client import open_client, stream_events
from serve.cli.chat.display import ReplyView, Said

HELP = """\
/all TEXT   the answers of all six personas; without TEXT, to the last message again
/history    what was said in this chat
/help       this list
An empty line or Ctrl-D ends the chat. The arrow keys bring back what you typed."""
console = Console(highlight=False)  # stdout, because the chat is this command's output


def chat(host: str, port: int) -> int:
    """Chat until an empty line or end of input, and return an exit status."""
    console.print("Type a message, or /help. An empty line or Ctrl-D ends the chat.", style="dim")
    with open_client(host, port) as client:
        session = Session(client)
        try:
            while line := console.input("[bold]You[/] > ").strip():
                session.take(line)
        except (EOFError, KeyboardInterrupt):
            pass
        except httpx.ConnectError:
            console.print(
                f"Cannot connect to {host}:{port}. Start the server first: make serve", style="red"
            )
            return 1
        except httpx.TransportError as error:
            reason = type(error).__name__
            console.print(f"\nLost the connection to {host}:{port}: {reason}", style="red")
            return 1
    return 0


@dataclass
class Session:
    """One chat. `history` has each message with its replies, oldest first."""

    client: httpx.Client
    history: list[tuple[str, list[Said]]] = field(default_factory=list)

    def take(self, line: str) -> None:
        """Handle one line: a message or a command."""
        command, _, rest = line.partition(" ")
        if command == "/all":
            self._ask_all(rest.strip())
        elif command == "/history":
            self._show_history()
        elif command == "/help":
            console.print(HELP, markup=False)
        elif command.startswith("/"):
            console.print(f"unknown command {command}; /help lists the commands", markup=False)
        else:
            self._ask(line)

    def _ask(self, text: str) -> None:
        said = ReplyView(console).show(stream_events(self.client, text))
        self.history.append((text, [said]))

    def _ask_all(self, text: str) -> None:
        """Ask the six at once, and show their answers one after the other."""
        text = text or (self.history[-1][0] if self.history else "")
        if not text:
            console.print("there is no message yet; type /all and a message")
            return

        def whole(label: str) -> list[ServerSentEvent]:
            return list(stream_events(self.client, text, label))

        with ThreadPoolExecutor(len(LABELS)) as pool:
            answers = pool.map(whole, LABELS)
            said = [ReplyView(console, with_bars=False).show(events) for events in answers]
        self.history.append((text, said))

    def _show_history(self) -> None:
        for text, replies in self.history:
            console.print(Text("You > ", style="bold").append(text, style="default not bold"))
            for said in replies:
                name = Text(f"{said.speaker or 'no answer'} > ", style="bold")
                console.print(name.append(said.text.rstrip(), style="default not bold"))
