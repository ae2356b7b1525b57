"""Terminal client of a running server: the command `python -m serve chat`.

It prints one bar per emotion as soon as the scores are known, then the reply as it streams.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, connect_sse
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.emotions import Emotion
from models.personas import builtin_personas

BAR_WIDTH = 24
TIMEOUT_S = 120
console = Console(highlight=False)  # stdout, because the chat is this command's output


def chat(host: str, port: int) -> int:
    """Chat until an empty line or end of input, and return an exit status."""
    console.print("Type a message. An empty line or Ctrl-D ends the chat.", style="dim")
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=TIMEOUT_S) as client:
        try:
            while message := console.input("[bold]You[/] > ").strip():
                show(stream_events(client, message))
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


def stream_events(client: httpx.Client, text: str) -> Iterator[ServerSentEvent]:
    """Send a message and yield the server's events. An error reply becomes an `error` event."""
    body = {"text": text, "stream": True}
    with connect_sse(client, "POST", "/v1/respond", json=body) as source:
        if source.response.is_error:
            yield ServerSentEvent(event="error", data=_problem(source.response))
            return
        yield from source.iter_sse()


def _problem(response: httpx.Response) -> str:
    """Return the error as JSON, also if the reply comes from something else than the graph."""
    if response.headers.get("content-type") == "application/problem+json":
        return response.read().decode()
    status = response.status_code
    return json.dumps({"detail": f"the server replied {status}: it may still be starting"})


def show(events: Iterator[ServerSentEvent]) -> None:
    """Print one reply while its events arrive."""
    colour = ""
    for event in events:
        data = json.loads(event.data)
        if event.event == "emotion":
            colour = _show_emotion(data)
        elif event.event == "delta":
            console.print(Text(data["text"], style=colour), end="")
        elif event.event == "done":
            tokens = data["usage"]["completion_tokens"]
            total_s = data["timings_ms"]["total"] / 1000
            console.print(f"\n[dim]{tokens} tokens, {total_s:.1f} s[/]\n")
        elif event.event == "error":
            console.print(Text(f"\n{data['detail']}", style="red"))


def _show_emotion(data: dict[str, Any]) -> str:
    """Print the bars and the persona's name. Return the colour of the reply."""
    persona = builtin_personas()[Emotion(data["label"])]
    console.print(bars(data["scores"]))
    console.print(f"{persona.emoji} [bold {persona.colour}]{persona.name}[/] > ", end="")
    return persona.colour


def bars(scores: dict[str, float]) -> Table:
    """Return one bar per emotion, in the colour of its persona."""
    table = Table.grid(padding=(0, 1))
    for name, score in scores.items():
        persona = builtin_personas()[Emotion(name)]
        bar = Text("█" * round(score * BAR_WIDTH) or "▏", style=persona.colour)
        table.add_row(name, bar, f"{score:.0%}")
    return table
