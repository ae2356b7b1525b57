"""Configuration: frozen, without unknown keys; deploy files; limits of the bound deployments."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError
from ray.serve import Application, Deployment
from ray.serve.schema import ServeDeploySchema

from models.manifest import ARTIFACTS
from serve.app import build
from serve.capacity import derive_gates
from serve.cli.config_file import read_config
from serve.config import (
    FEWEST_TOKENS,
    SCRIPTED,
    DetectorConfig,
    HardwareProfile,
    Replicas,
    ResponderConfig,
    ServeConfig,
)
from serve.errors import ConfigError

DEPLOY = Path(__file__).parents[3] / "deploy"
FILES = [DEPLOY / "local.yaml", DEPLOY / "gpu.yaml"]
UNKNOWN_KEYS = [
    {"detectr": {}},
    {"http": {"max_body": 1}},
    {"detector": {"replicas": {"cpu": 1}}},
    {"detector": {"batchsize": 4}},
    {"responder": {"base_model": "gemma-3-270m"}},
    {"responder": {"hardware": {"max_seqs": 4}}},
    {"responder": {"scripted": {"tokens_s": 1}}},
    {"tracing": {"endpoints": "http://127.0.0.1:4318"}},
]
INVALID_VALUES = [
    {"detector": {"batch_size": 0}},
    {"responder": {"kind": "llama"}},
    {"responder": {"queue": -1}},
    {"responder": {"candidates": 0}},
    {"responder": {"candidates": 17, "critic": "critic"}},
    {"responder": {"hardware": {"gpu_memory_utilization": 1}}},
    {"responder": {"replicas": {"minimum": -1}}},
    {"responder": {"blends": {"auto_below": 1.5}}},
    {"responder": {"blends": {"auto_below": 0.5, "personas": 1}}},
    {"responder": {"blends": {"auto_below": 0.5, "resident": 0}}},
]


def submodels(model: BaseModel) -> Iterator[BaseModel]:
    yield model
    for value in dict(model).values():
        if isinstance(value, BaseModel):
            yield from submodels(value)


def deployments(application: Application) -> dict[str, Deployment]:
    """Return every deployment bound in an application, by name."""
    bound = application._bound_deployment
    found = {bound.name: bound}
    for argument in bound.init_args:
        if isinstance(argument, Application):
            found |= deployments(argument)
    return found


def innermost_key(tree: Any) -> str:
    key, value = next(iter(tree.items()))
    return innermost_key(value) if isinstance(value, dict) and value else str(key)


def schema(file: Path) -> ServeDeploySchema:
    return ServeDeploySchema.model_validate(yaml.safe_load(file.read_text("utf-8")))


@pytest.mark.parametrize(
    "model", list(submodels(ServeConfig())), ids=lambda model: type(model).__name__
)
def test_is_frozen_on_every_level(model: BaseModel) -> None:
    field = next(iter(type(model).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model, field, None)


@pytest.mark.parametrize("tree", UNKNOWN_KEYS, ids=innermost_key)
def test_rejects_unknown_key_by_name(tree: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=rf"{innermost_key(tree)}\n  Extra inputs"):
        ServeConfig.model_validate(tree)


@pytest.mark.parametrize("tree", INVALID_VALUES, ids=innermost_key)
def test_rejects_invalid_value_by_name(tree: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=innermost_key(tree)):
        ServeConfig.model_validate(tree)


def test_scripted_detector_has_no_artifact_folder() -> None:
    with pytest.raises(ConfigError):
        _ = DetectorConfig(kind="scripted").folder


@pytest.mark.parametrize(("value", "harm"), [(False, "off"), (True, "classifier")])
def test_accepts_yaml_booleans_for_harm(value: bool, harm: str) -> None:
    assert DetectorConfig.model_validate({"harm": value}).harm == harm


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_deploy_file_is_valid(file: Path) -> None:
    [application] = schema(file).applications
    assert application.import_path == "serve.app:build"
    assert read_config(file) == ServeConfig.model_validate(application.args)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_deploy_file_listens_on_loopback_without_access_log(file: Path) -> None:
    found = schema(file)
    assert found.http_options.host == "127.0.0.1"
    assert found.logging_config is not None
    assert found.logging_config.enable_access_log is False


def test_local_deploy_file_needs_no_gpu() -> None:
    local = read_config(DEPLOY / "local.yaml")
    assert (local.responder.hardware.device, local.detector.device) == ("cpu", "cpu")
    assert local.responder.replicas.gpus == 0


def test_gpu_deploy_file_gives_the_whole_gpu_to_the_engine() -> None:
    gpu = read_config(DEPLOY / "gpu.yaml")
    assert (gpu.responder.hardware.device, gpu.detector.device) == ("cuda", "cpu")
    assert (gpu.responder.replicas.gpus, gpu.detector.replicas.gpus) == (1, 0)
    assert (gpu.detector.folder / "manifest.json").exists(), "the shipped detector"


def gpu_config(detector: float | None, responder: float, memory: float) -> ServeConfig:
    """A config with shares of GPUs; a detector without a share is on the CPU."""
    device = "cpu" if detector is None else "cuda"
    return ServeConfig.model_validate(
        {
            "detector": {"device": device, "replicas": {"gpus": detector or 0}},
            "responder": {
                "hardware": {"device": "cuda", "gpu_memory_utilization": memory},
                "replicas": {"gpus": responder},
            },
        }
    )


@pytest.mark.parametrize(
    ("detector", "responder", "memory"), [(None, 1, 0.9), (1, 1, 0.9), (0.15, 0.85, 0.8)]
)
def test_gpu_shares_that_fit_are_accepted(
    detector: float | None, responder: float, memory: float
) -> None:
    assert gpu_config(detector, responder, memory).responder.replicas.gpus == responder


@pytest.mark.parametrize(
    ("detector", "responder", "memory", "said"),
    [
        (0, 1, 0.9, r"set detector\.replicas\.gpus"),
        (None, 0, 0.9, r"set responder\.replicas\.gpus"),
        (0.15, 0.85, 0.9, "may share a GPU"),
    ],
)
def test_gpu_shares_that_cannot_work_are_refused(
    detector: float | None, responder: float, memory: float, said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        gpu_config(detector, responder, memory)


def test_untested_tensor_parallelism_is_refused() -> None:
    with pytest.raises(ValidationError, match="2 GPUs has never been tested"):
        HardwareProfile(tensor_parallel_size=2)


@pytest.mark.parametrize(
    "config", [*map(read_config, FILES), SCRIPTED], ids=["local", "gpu", "scripted"]
)
def test_deployments_have_the_configured_resources_and_limits(config: ServeConfig) -> None:
    bound = deployments(build(config))
    assert set(bound) == {"Detector", "Responder", "AdapterController"}
    gates = derive_gates(config)
    # The gate for texts counts tokens, at least FEWEST_TOKENS a call.
    admitted = gates.answers.admitted + gates.texts.admitted // FEWEST_TOKENS
    assert bound["Responder"].max_ongoing_requests > admitted
    assert bound["Detector"].max_ongoing_requests == 4 * config.detector.batch_size
    for name, replicas in (
        ("Detector", config.detector.replicas),
        ("Responder", config.responder.replicas),
    ):
        options = bound[name].ray_actor_options
        assert options is not None
        assert (options["num_cpus"], options["num_gpus"]) == (replicas.cpus, replicas.gpus)


def test_replicas_scale_between_minimum_and_maximum() -> None:
    responder = ResponderConfig(kind="scripted", replicas=Replicas(minimum=2, maximum=5))
    config = SCRIPTED.model_copy(update={"responder": responder})
    scaling = deployments(build(config))["Responder"]._deployment_config.autoscaling_config
    assert scaling is not None
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 5)


def test_replicas_are_limited_on_a_node() -> None:
    replicas = Replicas(minimum=2, maximum=2, per_node=1)
    responder = ResponderConfig(kind="scripted", replicas=replicas)
    bound = deployments(build(SCRIPTED.model_copy(update={"responder": responder})))
    limits = {name: each._replica_config.max_replicas_per_node for name, each in bound.items()}
    assert limits == {"Responder": 1, "Detector": None, "AdapterController": None}


def test_the_coupled_policy_decides_without_serves_own_delays() -> None:
    replicas = Replicas(minimum=0, maximum=5)
    parts = {
        "scaling": "coupled",
        "responder": ResponderConfig(kind="scripted", replicas=replicas),
        "detector": DetectorConfig(kind="scripted", replicas=replicas),
    }
    bound = deployments(build(SCRIPTED.model_copy(update=parts)))
    for name in ("Responder", "Detector"):
        scaling = bound[name]._deployment_config.autoscaling_config
        assert scaling is not None
        assert (scaling.min_replicas, scaling.max_replicas) == (0, 5)
        assert (scaling.upscale_delay_s, scaling.downscale_delay_s) == (0, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("applications: [{import_path: serve.app:build, args: {detectr: {}}}]", "detectr"),
        ("applications: [{import_path: serve.app:build, arg: {}}]", r"\barg\b"),
        ("applications: []", "no application"),
        ("applications: [", "flow node"),
        ("", "valid dictionary"),
        ("\udcff", "utf-8"),
    ],
)
def test_rejects_invalid_file_by_name(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=rf"(?s)mine\.yaml: .*{reason}"):
        read_config(file)


def test_rejects_missing_file_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_config(tmp_path / "mine.yaml")


def test_rejects_fewer_replicas_at_most_than_at_least() -> None:
    with pytest.raises(ValidationError, match="less than minimum"):
        Replicas(minimum=3)


def test_candidates_need_a_critic() -> None:
    with pytest.raises(ValidationError, match="candidates 4 needs a critic"):
        ResponderConfig(candidates=4)
    assert ResponderConfig(candidates=4, critic="runs/critic/artifact").critic_folder == Path(
        "runs/critic/artifact"
    )


def test_candidates_fit_into_the_batch() -> None:
    with pytest.raises(ValidationError, match="lower candidates"):
        ResponderConfig(candidates=4, critic="critic", hardware=HardwareProfile(max_num_seqs=3))


def test_critic_is_found_among_the_shipped_artifacts() -> None:
    assert ResponderConfig(candidates=2, critic="safety").critic_folder == ARTIFACTS / "safety"


def test_detector_loads_the_critic_only_if_there_are_candidates() -> None:
    def critic(number: int) -> object:
        responder = ResponderConfig(kind="scripted", candidates=number, critic="runs/critic")
        config = SCRIPTED.model_copy(update={"responder": responder})
        arguments: tuple[object, ...] = deployments(build(config))["Detector"].init_args
        return arguments[2]

    assert (critic(1), critic(2)) == (None, Path("runs/critic"))
