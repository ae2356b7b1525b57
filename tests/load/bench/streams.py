"""Many streams at once on one front end: how late each chunk is behind the engine.

scripted engine, one token every `token_s` a stream -> N streams, opened over a ramp
-> arrival of each chunk, behind the schedule of its last token -> p50, p99, max

The client does not see when the engine began an answer. It takes the earliest beginning that the
stream's arrivals allow, so a delay that all chunks of a stream share does not count here; the time
to the first token shows it.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from load.harness.graph import PORT, console, running_graph
from load.harness.outcomes import percentile
from load.harness.process_stats import OTHER, cpu_s_by_process
from serve.config import SCRIPTED, ScriptedConfig, ServeConfig

GOAL_MS = 250
TIMEOUT_S = 300


class Stream(BaseModel):
    """One stream: when its request was sent, and how many tokens had come at which time."""

    sent_s: float
    arrivals: list[tuple[float, int]]

    def ttft_s(self) -> float:
        """Return the time from the request to the first token."""
        return self.arrivals[0][0] - self.sent_s

    def late_s(self, token_s: float) -> list[tuple[float, float]]:
        """Return each arrival, and how late it was behind the schedule of its last token."""
        began_s = min(at_s - count * token_s for at_s, count in self.arrivals)
        return [(at_s, at_s - count * token_s - began_s) for at_s, count in self.arrivals]


class Report(BaseModel):
    """Output of the client."""

    client_lags: list[tuple[float, float]]  # when its own event loop was late, and by how much
    client_cpu_s: float
    streams: list[Stream]


class Lateness(BaseModel):
    """The result. Lateness is that of the chunks which came while all streams were open."""

    streams: int
    chunks: int
    tokens_per_s: float  # of one stream
    p50_ms: float
    p99_ms: float
    max_ms: float
    ttft_p50_ms: float
    ttft_p99_ms: float
    client_lag_ms: float
    cores: dict[str, float]

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.streams} streams, {self.tokens_per_s:.1f} tokens/s each, {self.chunks} chunks:"
            f" p50 {self.p50_ms:.0f} ms, p99 {self.p99_ms:.0f} ms, max {self.max_ms:.0f} ms behind"
            f" the engine (goal: at most {GOAL_MS} ms); first token p50 {self.ttft_p50_ms:.0f} ms,"
            f" p99 {self.ttft_p99_ms:.0f} ms; client at most {self.client_lag_ms:.0f} ms late"
        )


def evaluate(report: Report, token_s: float) -> dict[str, float]:
    """Compute lateness and times from the arrivals.

    Raises:
        RuntimeError: there was no time at which all streams were open.
    """
    streams = report.streams
    from_s = max(stream.arrivals[0][0] for stream in streams)
    to_s = min(stream.arrivals[-1][0] for stream in streams)
    if to_s <= from_s:
        raise RuntimeError("the first stream ended before the last one began; use a shorter ramp")
    late_ms = [
        late_s * 1000
        for stream in streams
        for at_s, late_s in stream.late_s(token_s)
        if from_s <= at_s <= to_s
    ]
    ttft_ms = [stream.ttft_s() * 1000 for stream in streams]
    return {
        "streams": len(streams),
        "chunks": len(late_ms),
        "tokens_per_s": percentile([_pace(stream) for stream in streams], 0.5),
        "p50_ms": percentile(late_ms, 0.5),
        "p99_ms": percentile(late_ms, 0.99),
        "max_ms": max(late_ms),
        "ttft_p50_ms": percentile(ttft_ms, 0.5),
        "ttft_p99_ms": percentile(ttft_ms, 0.99),
        "client_lag_ms": 1000
        * max((lag_s for at_s, lag_s in report.client_lags if from_s <= at_s <= to_s), default=0),
    }


def _pace(stream: Stream) -> float:
    (first_s, first), (last_s, last) = stream.arrivals[0], stream.arrivals[-1]
    return (last - first) / (last_s - first_s)


def measure(url: str, streams: int, tokens: int, ramp_s: float, token_s: float) -> Lateness:
    """Run the client in a process of its own and evaluate its report."""
    arguments = [url, str(streams), str(tokens), str(ramp_s)]
    began_s, before = time.monotonic(), cpu_s_by_process(os.getpid())
    done = subprocess.run(
        [sys.executable, "-m", "load.bench.sse_client", "streams", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        timeout=TIMEOUT_S,
    )
    took_s, after = time.monotonic() - began_s, cpu_s_by_process(os.getpid())
    report = Report.model_validate_json(done.stdout)
    cores = defaultdict[str, float](float, client=report.client_cpu_s / took_s)
    for (kind, pid), used_s in after.items():
        if kind != OTHER:
            cores[kind] += (used_s - before.get((kind, pid), 0.0)) / took_s
    return Lateness.model_validate(evaluate(report, token_s) | {"cores": dict(cores)})


def config_of(streams: int, token_s: float) -> ServeConfig:
    """Return the scripted graph with a place for every stream."""
    hardware = SCRIPTED.responder.hardware.model_copy(update={"max_num_seqs": streams})
    changes = {"hardware": hardware, "scripted": ScriptedConfig(token_s=token_s)}
    responder = SCRIPTED.responder.model_copy(update=changes)
    return SCRIPTED.model_copy(update={"responder": responder})


def main(
    streams: Annotated[int, typer.Option(min=1)] = 512,
    token_s: Annotated[float, typer.Option(help="seconds between two tokens of a stream")] = 0.1,
    tokens: Annotated[int, typer.Option(help="tokens of a stream")] = 240,
    ramp_s: Annotated[float, typer.Option(help="seconds over which streams are opened")] = 8,
    port: int = PORT,
    out: Path = Path(".bench/streams.json"),
) -> None:
    """Open many streams at once and print how late their chunks are behind the engine."""
    with running_graph(config_of(streams, token_s), port) as graph:
        result = measure(graph.url, streams, tokens, ramp_s, token_s)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(result.model_dump_json(indent=1) + "\n", "utf-8")
    console.print(result.summary())
    console.print({kind: round(used, 2) for kind, used in result.cores.items()})


if __name__ == "__main__":
    typer.run(main)
