"""The servers that `lora_throughput.py` compares: vLLM's own OpenAI server with and without adapters, each in processes of its own."""

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
from serve.capacity import EMPTY_PLACE, ENGINE_RANKS, resident_places
from serve.config import ResponderConfig
from serve.engine.vllm_args import CPU_BLOCK_TOKENS

BENCH = Path(__file__).parents[3] / ".bench"
REQUESTS = 32  # at once
START_TIMEOUT_S = 300
# As served, so that vLLM compiles one model for all of them and for the graph: whoever starts after them finds it compiled.
MODEL_LEN = str(ResponderConfig().hardware.max_model_len)
BLOCKS = ("--block-size", str(CPU_BLOCK_TOKENS))
BOUND = {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0))))}
STOCK = {"FYE_CPU_LORA": "0", "FYE_CPU_SAMPLING": "0", "FYE_CPU_HEAD": "0"}
FIXED = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Arm:
    """How a server is started, and how much each measurement takes: a slow arm gets less to do."""

    name: str
    adapters: bool
    environment: dict[str, str]
    blocks: tuple[str, ...] = ()
    answer: int = 48  # tokens
    prompts: int = 16  # of the prefill
    samples: dict[str, list[float]] = field(default_factory=dict)

    def models(self, count: int) -> list[str]:
        return [LABELS[index % len(LABELS)] if self.adapters else "base" for index in range(count)]


ARMS = (
    Arm("base", False, BOUND, BLOCKS),
    Arm("ours", True, BOUND, BLOCKS),
    Arm("stock", True, BOUND | STOCK, BLOCKS, answer=8, prompts=3),
    Arm("untouched", True, STOCK, answer=8, prompts=2),  # vLLM binds its threads, and chooses its blocks, as it likes
)


@dataclass
class Server:
    """A running arm. While it is not measured its processes are stopped."""

    arm: Arm
    url: str
    process: subprocess.Popen[bytes]

    @contextmanager
    def awake(self) -> Iterator[None]:
        os.killpg(self.process.pid, signal.SIGCONT)
        time.sleep(0.2)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGSTOP)


@contextmanager
def running(arm: Arm, weights: Path) -> Iterator[Server]:
    """Starts the arm's server, without waiting until it is ready, and ends it on the way out."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (BENCH / f"lora-{arm.name}.log").open("wb") as log:
        process = subprocess.Popen(command(arm, weights, port), env=environment(arm), stdout=log, stderr=log, start_new_session=True)
    try:
        yield Server(arm, f"http://127.0.0.1:{port}", process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def command(arm: Arm, weights: Path, port: int) -> list[str]:
    sizes = ["--max-model-len", MODEL_LEN, "--max-num-seqs", str(REQUESTS), *arm.blocks]
    engine = [*sizes, "--no-enable-prefix-caching", "--dtype", "bfloat16"]
    places = str(resident_places(len(LABELS)) + EMPTY_PLACE)
    lora = ["--enable-lora", "--max-loras", places, "--max-cpu-loras", places, "--max-lora-rank", str(ENGINE_RANKS[0])]
    adapters = ["--lora-modules", *(f"{label}={ARTIFACTS / 'adapters' / label}" for label in LABELS)]
    server = ["--model", str(weights), "--served-model-name", "base", "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *server, *engine, *((*lora, *adapters) if arm.adapters else ())]


def environment(arm: Arm) -> dict[str, str]:
    """Without what would make one arm another."""
    return {name: value for name, value in os.environ.items() if name not in BOUND | STOCK} | FIXED | arm.environment


def wait_ready(server: Server) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and server.process.poll() is None:
        try:
            if httpx.get(f"{server.url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass  # nobody listens yet
        time.sleep(0.5)
    raise SystemExit(f"{server.arm.name} did not start: see .bench/lora-{server.arm.name}.log")
