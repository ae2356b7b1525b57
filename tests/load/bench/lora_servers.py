"""vLLM servers that `lora.py` compares: with and without adapters, each in its own processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from models.emotions import LABELS
from models.manifest import ARTIFACTS
from serve.capacity import EMPTY_SLOT, ENGINE_RANKS, adapter_slots
from serve.config import ResponderConfig
from serve.engine.vllm_args import CPU_BLOCK_TOKENS

BENCH = Path(__file__).parents[3] / ".bench"
REQUESTS = 32  # at once
START_TIMEOUT_S = 300
POLL_S = 0.5
RESUME_S = 0.2  # after SIGCONT
# As the graph configures it, so that vLLM compiles the model once for all servers and the graph.
MODEL_LEN = str(ResponderConfig().hardware.max_model_len)
BLOCKS = ("--block-size", str(CPU_BLOCK_TOKENS))
ALL_CORES = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0))))}
WITHOUT_PLUGINS = {"FYE_CPU_LORA": "0", "FYE_CPU_SAMPLING": "0", "FYE_CPU_HEAD": "0"}
COMMON = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True)
class Arm:
    """Settings of a server; a slow one gets smaller measurements."""

    name: str
    adapters: bool
    environment: dict[str, str]
    blocks: tuple[str, ...] = ()
    reply_tokens: int = 48
    prefill_prompts: int = 16
    samples: dict[str, list[float]] = field(default_factory=dict)  # by kind of measurement

    def models(self, count: int) -> list[str]:
        """Choose the model of each request: the adapters in turn, or the base model."""
        return [LABELS[index % len(LABELS)] if self.adapters else "base" for index in range(count)]


ARMS = (
    Arm("base", adapters=False, environment=ALL_CORES, blocks=BLOCKS),
    Arm("ours", adapters=True, environment=ALL_CORES, blocks=BLOCKS),
    Arm(
        "stock",
        adapters=True,
        environment=ALL_CORES | WITHOUT_PLUGINS,
        blocks=BLOCKS,
        reply_tokens=8,
        prefill_prompts=3,
    ),
    # With vLLM's own choice of cores and block size.
    Arm(
        "untouched",
        adapters=True,
        environment=WITHOUT_PLUGINS,
        reply_tokens=8,
        prefill_prompts=2,
    ),
)


@dataclass
class Server:
    """Running arm. Its processes are stopped while another arm is measured."""

    arm: Arm
    url: str
    process: "subprocess.Popen[bytes]"

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let the processes run during the block."""
        os.killpg(self.process.pid, signal.SIGCONT)
        time.sleep(RESUME_S)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGSTOP)


@contextmanager
def running_server(arm: Arm, weights: Path) -> Iterator[Server]:
    """Start an arm's server without waiting until it is ready; kill it at the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with _log(arm).open("wb") as log:
        process = subprocess.Popen(
            command_line(arm, weights, port),
            env=environment(arm),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Server(arm, f"http://127.0.0.1:{port}", process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _log(arm: Arm) -> Path:
    return BENCH / f"lora-{arm.name}.log"


def command_line(arm: Arm, weights: Path, port: int) -> list[str]:
    """Build the command of an arm's server."""
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(weights), "--served-model-name", "base"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--max-model-len", MODEL_LEN, "--max-num-seqs", str(REQUESTS), *arm.blocks]
    command += ["--no-enable-prefix-caching", "--dtype", "bfloat16"]
    return command + (_lora_options() if arm.adapters else [])


def _lora_options() -> list[str]:
    slots = str(adapter_slots(len(LABELS)) + EMPTY_SLOT)
    options = ["--enable-lora", "--max-loras", slots, "--max-cpu-loras", slots]
    options += ["--max-lora-rank", str(ENGINE_RANKS[0])]
    modules = [f"{label}={ARTIFACTS / 'adapters' / label}" for label in LABELS]
    return [*options, "--lora-modules", *modules]


def environment(arm: Arm) -> dict[str, str]:
    """Build the environment, without the variables that distinguish the arms."""
    distinguishing = ALL_CORES | WITHOUT_PLUGINS
    inherited = {name: value for name, value in os.environ.items() if name not in distinguishing}
    return inherited | COMMON | arm.environment


def wait_ready(server: Server) -> None:
    """Wait until the server replies. Raises SystemExit if it does not start."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and server.process.poll() is None:
        try:
            if httpx.get(f"{server.url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass  # the server does not listen yet
        time.sleep(POLL_S)
    raise SystemExit(f"server {server.arm.name!r} did not start; see {_log(server.arm)}")
