"""The peer: `vllm serve` with the same weights, adapters, operators and engine arguments, and nothing around it."""

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
from serve.capacity import derive_limits
from serve.config import ResponderConfig
from serve.engine.vllm_args import engine_arguments, set_environment
from serve.adapters.validation import find_adapters

START_TIMEOUT_S = 600
# The client sends the prompt as the graph renders it, so both engines read the same tokens.
AS_IT_IS = "{{ bos_token }}{{ messages[0]['content'] }}"


@dataclass(frozen=True)
class Bare:
    """A running `vllm serve`, and how long it took to be ready."""

    url: str
    pid: int
    ready_s: float


@contextmanager
def bare(config: ResponderConfig, port: int, log: Path) -> Iterator[Bare]:
    """Started as a subprocess on loopback, ended on the way out."""
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments(config, port, log.with_suffix(".jinja"))]
    set_environment(config.hardware)
    began_s = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=dict(os.environ))
    try:
        _wait(process, port, log)
        yield Bare(f"http://127.0.0.1:{port}", process.pid, time.monotonic() - began_s)
    finally:
        process.terminate()
        process.wait(timeout=60)


def arguments(config: ResponderConfig, port: int, template: Path) -> list[str]:
    """The engine's are derived as the graph derives them."""
    base = materialize(config.base)
    adapters = find_adapters(config.adapters, base) if config.adapters else []
    template.write_text(AS_IT_IS, "utf-8")
    found = ["--host", "127.0.0.1", "--port", str(port), "--chat-template", str(template)]
    for name, value in engine_arguments(base.folder, config.hardware, derive_limits(config, [one.manifest for one in adapters])).items():
        flag = f"--{name.replace('_', '-')}"
        found += [flag] if value is True else [] if value is False else [flag, str(value)]
    return [*found, "--lora-modules", *(f"{one.manifest.persona}={one.folder}" for one in adapters)]


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise RuntimeError(log.read_text()[-2000:])
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass  # nobody listens yet
        time.sleep(0.5)
    raise TimeoutError(f"vllm serve was not ready after {START_TIMEOUT_S} s")
