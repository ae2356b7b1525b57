"""Environment and arguments of vLLM for each device. vLLM itself is not imported."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from models.machine import precision
from serve.capacity import EngineLimits
from serve.config import HardwareProfile, TracingConfig
from serve.engine.vllm_args import check_bf16, engine_arguments, set_environment
from serve.errors import ConfigError

CPU = HardwareProfile(device="cpu", kv_cache_gib=2, max_num_seqs=7, max_model_len=512)
CUDA = HardwareProfile(device="cuda", gpu_memory_utilization=0.6)
SHAPE = {"max_num_seqs": 7, "max_model_len": 512}
NO_ADAPTERS = EngineLimits(max_loras=0, max_lora_rank=8, **SHAPE)
ADAPTERS = EngineLimits(max_loras=7, max_lora_rank=16, **SHAPE)
BASE = Path("weights")
TEMPORARY = Path("/short")


def set_cores(monkeypatch: pytest.MonkeyPatch, ids: list[int], usable: int) -> None:
    monkeypatch.setattr("serve.engine.vllm_args.affinity", lambda: ids)
    monkeypatch.setattr("serve.engine.vllm_args.usable_cores", lambda: usable)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty environment, cores 3 to 5, and no vLLM to import."""
    environment: dict[str, str] = {}
    monkeypatch.setattr("serve.engine.vllm_args.os", SimpleNamespace(environ=environment))
    monkeypatch.setattr("serve.engine.vllm_args.short_folder", lambda *_: TEMPORARY)
    set_cores(monkeypatch, [3, 4, 5], 3)
    monkeypatch.setitem(sys.modules, "vllm", None)
    return environment


@pytest.mark.parametrize("hardware", [CPU, CUDA], ids=["cpu", "cuda"])
def test_arguments_carry_the_derived_limits(hardware: HardwareProfile) -> None:
    arguments = engine_arguments(BASE, hardware, ADAPTERS)
    expected = {
        "model": "weights",
        "max_model_len": 512,
        "max_num_seqs": 7,
        "tensor_parallel_size": hardware.tensor_parallel_size,
        "enable_lora": True,
        "max_loras": 7,
        "max_cpu_loras": 7,
        "max_lora_rank": 16,
    }
    assert {name: arguments[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("hardware", "fastest", "expected"),
    [
        (CPU, torch.float32, "float32"),
        (CPU, torch.bfloat16, "bfloat16"),
        (CUDA, torch.float32, "bfloat16"),
    ],
    ids=["cpu without bf16", "cpu with bf16", "cuda"],
)
def test_a_cpu_computes_in_the_type_that_is_fastest(
    hardware: HardwareProfile,
    fastest: torch.dtype,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "fastest_dtype", lambda _: fastest)
    assert engine_arguments(BASE, hardware, ADAPTERS)["dtype"] == expected


def test_no_lora_arguments_without_adapters() -> None:
    assert not [name for name in engine_arguments(BASE, CPU, NO_ADAPTERS) if "lora" in name]


def test_gpu_memory_is_set_on_a_gpu_only() -> None:
    assert engine_arguments(BASE, CUDA, ADAPTERS)["gpu_memory_utilization"] == 0.6
    assert "gpu_memory_utilization" not in engine_arguments(BASE, CPU, ADAPTERS)


def test_a_cpu_engine_gets_its_cache_size_and_every_usable_core(
    environment: dict[str, str],
) -> None:
    set_environment(CPU)
    assert environment == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "GLOO_SOCKET_IFNAME": "lo",
        "VLLM_RPC_BASE_PATH": str(TEMPORARY),
        "VLLM_CPU_OMP_THREADS_BIND": "3,4,5",
    }


def test_threads_are_not_bound_under_a_cpu_quota(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_cores(monkeypatch, [*range(64)], 2)
    set_environment(CPU)
    found = {name: value for name, value in environment.items() if "OMP" in name}
    assert found == {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "2"}


def test_a_gpu_engine_gets_no_cpu_variables(environment: dict[str, str]) -> None:
    set_environment(CUDA)
    assert environment == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "GLOO_SOCKET_IFNAME": "lo",
        "VLLM_RPC_BASE_PATH": str(TEMPORARY),
    }


def test_traces_go_to_the_configured_endpoint_over_http(environment: dict[str, str]) -> None:
    tracing = TracingConfig(endpoint="http://127.0.0.1:4318/v1/traces")
    arguments = engine_arguments(BASE, CPU, ADAPTERS, tracing)
    assert arguments["otlp_traces_endpoint"] == tracing.endpoint
    assert "otlp_traces_endpoint" not in engine_arguments(BASE, CPU, ADAPTERS)
    set_environment(CUDA, tracing)
    assert environment["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"


@pytest.mark.parametrize(("gib", "size"), [(0.5, 2**29), (1, 2**30), (1.5, 3 * 2**29)])
def test_the_cache_has_exactly_its_configured_size(gib: float, size: int) -> None:
    arguments = engine_arguments(BASE, HardwareProfile(kv_cache_gib=gib), ADAPTERS)
    assert arguments["kv_cache_memory_bytes"] == size
    assert "kv_cache_memory_bytes" not in engine_arguments(BASE, CUDA, ADAPTERS)


def test_variables_that_are_already_set_stay(environment: dict[str, str]) -> None:
    own = {
        "VLLM_NO_USAGE_STATS": "0",
        "VLLM_LOGGING_LEVEL": "DEBUG",
        "GLOO_SOCKET_IFNAME": "eth1",
        "VLLM_CPU_OMP_THREADS_BIND": "0",
    }
    environment.update(own)
    set_environment(CPU)
    assert environment == own | {"VLLM_RPC_BASE_PATH": str(TEMPORARY)}


@pytest.mark.parametrize(("name", "capability"), [("Tesla T4", 75), ("Tesla V100", 70)])
def test_a_gpu_without_bf16_is_refused_before_anything_is_loaded(
    name: str, capability: int
) -> None:
    with pytest.raises(ConfigError, match=f"{name} has no bf16"):
        check_bf16(gpu(name, capability))
    check_bf16(gpu("NVIDIA L4", 89))
    check_bf16(gpu("NVIDIA A100", 80))


def gpu(name: str, capability: int) -> SimpleNamespace:
    """vLLM's platform of a GPU, as far as the check asks it."""
    return SimpleNamespace(
        has_device_capability=lambda needed: capability >= needed, get_device_name=lambda: name
    )
