"""The configuration: frozen, complete, unforgiving; and the deploy files that state it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError
from ray.serve import Application, Deployment
from ray.serve.schema import ServeDeploySchema

from models.errors import CatalogError
from serve.app import build
from serve.capacity import derive_gates
from serve.cli.config_file import read_config
from serve.config import SCRIPTED, Replicas, ResponderConfig, ServeConfig

DEPLOY = Path(__file__).parents[3] / "deploy"
FILES = [DEPLOY / "local.yaml", DEPLOY / "gpu.yaml"]
MISSPELT = [
    {"ingres": {}},
    {"ingress": {"replica": {}}},
    {"ingress": {"replicas": {"cpu": 1}}},
    {"detector": {"batchsize": 4}},
    {"responder": {"base_model": "gemma-3-270m"}},
    {"responder": {"hardware": {"max_seqs": 4}}},
    {"tracing": {"endpoints": "http://127.0.0.1:4318"}},
]
IMPOSSIBLE = [
    {"detector": {"batch_size": 0}},
    {"responder": {"kind": "llama"}},
    {"responder": {"queue": -1}},
    {"responder": {"hardware": {"gpu_memory_utilization": 1}}},
    {"responder": {"replicas": {"minimum": 0}}},
]


def models_in(model: BaseModel) -> Iterator[BaseModel]:
    yield model
    for value in dict(model).values():
        if isinstance(value, BaseModel):
            yield from models_in(value)


def deployments(application: Application) -> dict[str, Deployment]:
    """Every deployment that is bound in an application, by name."""
    bound = application._bound_deployment
    inner = [argument for argument in bound.init_args if isinstance(argument, Application)]
    return {bound.name: bound, **{name: found for each in inner for name, found in deployments(each).items()}}


def innermost_key(tree: Any) -> str:
    key, value = next(iter(tree.items()))
    return innermost_key(value) if isinstance(value, dict) and value else str(key)


@pytest.mark.parametrize("model", list(models_in(ServeConfig())), ids=lambda model: type(model).__name__)
def test_no_level_can_be_changed(model: BaseModel) -> None:
    field = next(iter(type(model).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model, field, None)


@pytest.mark.parametrize("tree", MISSPELT, ids=innermost_key)
def test_a_misspelt_key_is_refused_by_name(tree: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=rf"{innermost_key(tree)}\n  Extra inputs are not permitted"):
        ServeConfig.model_validate(tree)


@pytest.mark.parametrize("tree", IMPOSSIBLE, ids=innermost_key)
def test_a_value_out_of_range_is_refused_by_name(tree: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=innermost_key(tree)):
        ServeConfig.model_validate(tree)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_deploy_file_is_what_serve_and_this_project_accept(file: Path) -> None:
    document = yaml.safe_load(file.read_text("utf-8"))
    [application] = ServeDeploySchema.model_validate(document).applications
    assert application.import_path == "serve.app:build"
    assert read_config(file) == ServeConfig.model_validate(application.args)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_deploy_file_listens_on_loopback_and_logs_no_requests(file: Path) -> None:
    schema = ServeDeploySchema.model_validate(yaml.safe_load(file.read_text("utf-8")))
    assert schema.http_options.host == "127.0.0.1"
    assert schema.logging_config is not None
    assert schema.logging_config.enable_access_log is False


def test_the_deploy_files_name_their_devices() -> None:
    local, gpu = (read_config(file) for file in FILES)
    assert (local.responder.hardware.device, local.responder.replicas.gpus, local.detector.device) == ("cpu", 0, "cpu")
    assert (gpu.responder.hardware.device, gpu.detector.device) == ("cuda", "cuda")
    assert 0 < gpu.responder.replicas.gpus + gpu.detector.replicas.gpus <= 1


@pytest.mark.parametrize("config", [*map(read_config, FILES), SCRIPTED], ids=["local", "gpu", "scripted"])
def test_the_graph_has_three_stages_with_the_configured_limits(config: ServeConfig) -> None:
    bound = deployments(build(config))
    assert set(bound) == {"Ingress", "Detector", "Responder", "AdapterController"}
    assert bound["Responder"].max_ongoing_requests == config.responder.hardware.max_num_seqs + config.responder.queue
    assert bound["Detector"].max_ongoing_requests == 4 * config.detector.batch_size
    gates = derive_gates(config)
    assert bound["Ingress"].max_ongoing_requests > gates.answers[0] + gates.texts[0]
    assert all(bound[name].max_queued_requests > 0 for name in ("Ingress", "Detector", "Responder"))
    for name, stage in (("Ingress", config.ingress), ("Detector", config.detector), ("Responder", config.responder)):
        options = bound[name].ray_actor_options
        assert options is not None
        assert (options["num_cpus"], options["num_gpus"]) == (stage.replicas.cpus, stage.replicas.gpus)


def test_replicas_scale_between_minimum_and_maximum() -> None:
    responder = ResponderConfig(kind="scripted", replicas=Replicas(minimum=2, maximum=5))
    bound = deployments(build(SCRIPTED.model_copy(update={"responder": responder})))["Responder"]
    scaling = bound._deployment_config.autoscaling_config
    assert scaling is not None
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 5)


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("applications: [{import_path: serve.app:build, args: {detectr: {}}}]", "detectr"),
        ("applications: [{import_path: serve.app:build, arg: {}}]", r"\barg\b"),
        ("applications: []", "no application"),
        ("applications: [", "flow node"),
        ("", "valid dictionary"),
        ("\udcff", "utf-8"),
    ],
)
def test_a_file_that_cannot_be_served_is_refused_with_its_name(text: str, culprit: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CatalogError, match=rf"(?s)mine\.yaml: .*{culprit}"):
        read_config(file)
