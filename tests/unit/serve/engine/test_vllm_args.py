"""What the real engine is started with, for each device. vLLM itself is not imported."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, models

from serve.capacity import Limits
from serve.config import HardwareProfile, TracingConfig
from serve.engine.vllm_args import engine_arguments, set_environment
from serve.engine.vllm_engine import VllmEngine
from serve.errors import EngineError

CPU = HardwareProfile(device="cpu", kv_cache_gib=2, max_num_seqs=7, max_model_len=512)
CUDA = HardwareProfile(device="cuda", gpu_memory_utilization=0.6, tensor_parallel_size=2)
NO_ADAPTERS = Limits(max_loras=0, max_lora_rank=8, max_num_seqs=7, max_model_len=512, max_ongoing_requests=9)
ADAPTERS = Limits(max_loras=7, max_lora_rank=16, max_num_seqs=7, max_model_len=512, max_ongoing_requests=9)
BASE = Path("weights")
TOKENIZER = Tokenizer(models.BPE())


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty environment on a machine where this process may use cores 3 to 5, and no vLLM to import."""
    environment: dict[str, str] = {}
    machine = SimpleNamespace(environ=environment, sched_getaffinity=lambda process: {5, 3, 4})
    monkeypatch.setattr("serve.engine.vllm_args.os", machine)
    monkeypatch.setitem(sys.modules, "vllm", None)
    return environment


@pytest.mark.parametrize("hardware", [CPU, CUDA], ids=["cpu", "cuda"])
def test_the_engines_limits_are_the_derived_ones(hardware: HardwareProfile) -> None:
    arguments = engine_arguments(BASE, hardware, ADAPTERS)
    expected = {
        "model": "weights",
        "dtype": "bfloat16",
        "max_model_len": 512,
        "max_num_seqs": 7,
        "tensor_parallel_size": hardware.tensor_parallel_size,
        "enable_lora": True,
        "max_loras": 7,
        "max_cpu_loras": 7,
        "max_lora_rank": 16,
    }
    assert {name: arguments[name] for name in expected} == expected


def test_without_adapters_the_engine_is_not_told_of_any() -> None:
    assert not [name for name in engine_arguments(BASE, CPU, NO_ADAPTERS) if "lora" in name]


def test_gpu_memory_is_the_gpus_alone() -> None:
    assert engine_arguments(BASE, CUDA, ADAPTERS)["gpu_memory_utilization"] == 0.6
    assert "gpu_memory_utilization" not in engine_arguments(BASE, CPU, ADAPTERS)


def test_a_cpu_is_given_its_cache_and_every_core_it_may_use(environment: dict[str, str]) -> None:
    set_environment(CPU)
    assert environment == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "GLOO_SOCKET_IFNAME": "lo",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_CPU_OMP_THREADS_BIND": "3,4,5",
    }


def test_a_gpu_is_given_nothing_of_a_cpus(environment: dict[str, str]) -> None:
    set_environment(CUDA)
    assert environment == {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING", "GLOO_SOCKET_IFNAME": "lo"}


def test_traces_go_where_the_others_do_and_over_http(environment: dict[str, str]) -> None:
    tracing = TracingConfig(endpoint="http://127.0.0.1:4318/v1/traces")
    assert engine_arguments(BASE, CPU, ADAPTERS, tracing)["otlp_traces_endpoint"] == tracing.endpoint
    assert "otlp_traces_endpoint" not in engine_arguments(BASE, CPU, ADAPTERS)
    set_environment(CUDA, tracing)
    assert environment["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"


@pytest.mark.parametrize(("gib", "whole"), [(0.2, "1"), (1, "1"), (2.6, "3")])
def test_the_cache_is_a_whole_number_and_never_none(environment: dict[str, str], gib: float, whole: str) -> None:
    set_environment(HardwareProfile(kv_cache_gib=gib))
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == whole


def test_the_operators_own_settings_win(environment: dict[str, str]) -> None:
    own = {
        "VLLM_NO_USAGE_STATS": "0",
        "VLLM_LOGGING_LEVEL": "DEBUG",
        "GLOO_SOCKET_IFNAME": "eth1",
        "VLLM_CPU_KVCACHE_SPACE": "9",
        "VLLM_CPU_OMP_THREADS_BIND": "0",
    }
    environment.update(own)
    set_environment(CPU)
    assert environment == own


async def test_an_engine_that_was_not_started_says_so() -> None:
    engine = VllmEngine(BASE, TOKENIZER, CPU, NO_ADAPTERS)
    with pytest.raises(EngineError, match="not started"):
        await engine.health()
    assert engine.stats().running == 0
    await engine.stop()


async def test_only_starting_imports_the_engine() -> None:
    """So the tests above would have noticed an import elsewhere."""
    with pytest.raises(ImportError, match="vllm"):
        await VllmEngine(BASE, TOKENIZER, CPU, NO_ADAPTERS).start()
