"""Peer of the graph: `vllm serve` with the same weights, adapters, operators and arguments."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from models.weights.cache import materialize
from serve.adapters.folder import find_adapters
from serve.capacity import derive_limits
from serve.config import ResponderConfig
from serve.engine.vllm_args import engine_arguments, set_environment

START_TIMEOUT_S = 600
STOP_TIMEOUT_S = 60
POLL_S = 0.5
LOG_TAIL = 2000  # characters of the log in an error message
# The client renders the prompt as the graph does, so both engines read the same tokens.
PASS_THROUGH = "{{ bos_token }}{{ messages[0]['content'] }}"


@dataclass(frozen=True)
class VllmServer:
    """Running `vllm serve`."""

    url: str
    pid: int
    start_s: float  # time from the start until it was ready


@contextmanager
def vllm_server(config: ResponderConfig, port: int, log: Path) -> Iterator[VllmServer]:
    """Run `vllm serve` on loopback with its output in `log`."""
    options = command_line(config, port, log.with_suffix(".jinja"))
    set_environment(config.hardware)
    started_s = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *options],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=dict(os.environ),
        )
    try:
        _wait_ready(process, port, log)
        start_s = time.monotonic() - started_s
        yield VllmServer(f"http://127.0.0.1:{port}", process.pid, start_s)
    finally:
        process.terminate()
        process.wait(timeout=STOP_TIMEOUT_S)


def command_line(config: ResponderConfig, port: int, template: Path) -> list[str]:
    """Build the options of `vllm serve`; the engine's follow from `config` as in the graph.

    Writes the chat template to `template`.
    """
    base = materialize(config.base)
    adapters = find_adapters(config.adapters, base) if config.adapters else []
    limits = derive_limits(config, [adapter.manifest.rank for adapter in adapters])
    template.write_text(PASS_THROUGH, "utf-8")
    options = ["--host", "127.0.0.1", "--port", str(port), "--chat-template", str(template)]
    for name, value in engine_arguments(base.folder, config.hardware, limits).items():
        options += _option(name, value)
    modules = [f"{adapter.manifest.persona}={adapter.folder}" for adapter in adapters]
    return [*options, "--lora-modules", *modules]


def _option(name: str, value: object) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if value is False:
        return []
    return [flag] if value is True else [flag, str(value)]


def _wait_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise RuntimeError(f"vllm serve failed to start:\n{log.read_text()[-LOG_TAIL:]}")
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass  # the server does not listen yet
        time.sleep(POLL_S)
    raise TimeoutError(f"timed out after {START_TIMEOUT_S} s: vllm serve is not ready; see {log}")
