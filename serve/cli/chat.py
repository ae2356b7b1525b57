"""`make chat`: a terminal client of the running server. Six bars as soon as the emotion is known, then the answer as it streams."""

import json
from collections.abc import Iterator

import httpx
from httpx_sse import ServerSentEvent, connect_sse
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.emotions import Emotion
from models.personas import builtin_personas

BAR_WIDTH = 24
console = Console(highlight=False)


def chat(host: str, port: int) -> int:
    """Reads messages until an empty line or end of input. Returns an exit status."""
    console.print("Say what is on your mind. An empty line, or Ctrl-D, ends.", style="dim")
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=120) as client:
        try:
            while message := console.input("[bold]You[/] > ").strip():
                show(events(client, message))
        except (EOFError, KeyboardInterrupt):
            pass
        except httpx.ConnectError:
            console.print(f"Nobody answers at {host}:{port}. Start the server first: make serve", style="red")
            return 1
        except httpx.TransportError as error:
            console.print(f"\nThe connection to {host}:{port} was lost: {type(error).__name__}", style="red")
            return 1
    return 0


def events(client: httpx.Client, text: str) -> Iterator[ServerSentEvent]:
    """The server's events for one message; a refusal becomes an `error` event too."""
    with connect_sse(client, "POST", "/v1/respond", json={"text": text, "stream": True}) as source:
        if source.response.is_error:
            yield ServerSentEvent(event="error", data=_problem(source.response))
            return
        yield from source.iter_sse()


def _problem(response: httpx.Response) -> str:
    """A refusal as JSON. A server that is still starting, or something else at that address, answers in other words."""
    if response.headers.get("content-type") == "application/problem+json":
        return response.read().decode()
    return json.dumps({"detail": f"the server answered {response.status_code}: it may still be starting"})


def show(stream: Iterator[ServerSentEvent]) -> None:
    """Prints one answer as it arrives."""
    style = ""
    for event in stream:
        data = json.loads(event.data)
        if event.event == "emotion":
            persona = builtin_personas()[Emotion(data["label"])]
            style = persona.colour
            console.print(bars(data["scores"]))
            console.print(f"{persona.emoji} [bold {style}]{persona.name}[/] > ", end="")
        elif event.event == "delta":
            console.print(Text(data["text"], style=style), end="")
        elif event.event == "done":
            console.print(f"\n[dim]{data['usage']['completion_tokens']} tokens, {data['timings_ms']['total'] / 1000:.1f} s[/]\n")
        elif event.event == "error":
            console.print(Text(f"\n{data['detail']}", style="red"))


def bars(scores: dict[str, float]) -> Table:
    """One bar for each emotion, in its colour."""
    table = Table.grid(padding=(0, 1))
    for name, score in scores.items():
        persona = builtin_personas()[Emotion(name)]
        table.add_row(name, Text("█" * round(score * BAR_WIDTH) or "▏", style=persona.colour), f"{score:.0%}")
    return table
