"""Failover test: pods as KubeRay makes them of a RayService, and the verdict on lost requests."""

from typing import Any

import pytest
import yaml

from deploy.checks.kustomize import KUBERAY, Manifest
from load.cluster import overrides
from load.cluster.cluster import unhealthy_parts
from load.cluster.entry import NO_POD, Sent
from load.cluster.kuberay import HEAD, HEAD_HOST, RayService
from load.cluster.result import MAX_LATENESS_S, Phase, Struck, judge
from load.harness.outcomes import End, Outcome
from models.emotions import Emotion
from serve.api.auth import Scope, open_keys
from serve.config import KeysConfig, ServeConfig

BASE = KUBERAY / "base" / "rayservice.yaml"
CONFIG = (KUBERAY / "overlays" / "one-gpu" / "serve.yaml").read_text("utf-8")
MAPS = {
    "ray-environment": {"RAY_SERVE_ENABLE_HA_PROXY": "1"},
    "artifacts": {"FYE_ARTIFACTS_URL": "s3://example"},
}


@pytest.fixture
def service() -> RayService:
    manifest: Manifest = yaml.safe_load(BASE.read_text("utf-8"))
    manifest["spec"]["serveConfigV2"] = CONFIG
    maps = [
        {"kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        for name, data in MAPS.items()
    ]
    return RayService([manifest, *maps], overrides.SECRETS)


def test_the_head_keeps_its_state_in_valkey(service: RayService) -> None:
    found = service.environment(HEAD, "head-1")
    assert found["RAY_REDIS_ADDRESS"] == "valkey:6379"
    assert found["REDIS_PASSWORD"] == overrides.SECRETS["valkey-password"]
    assert found["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert "HF_TOKEN" not in found, "an optional secret that does not exist"
    command = service.start_command(HEAD, overrides.RAY_START)
    for flag in ("--head", "--num-cpus=0", "--redis-password=$REDIS_PASSWORD", "--block"):
        assert flag in command.split()


def test_workers_find_the_head_by_its_name(service: RayService) -> None:
    found = service.environment("cpu", "cpu-1")
    assert found["RAY_ADDRESS"] == f"{HEAD_HOST}:6379"
    assert found["FYE_API_KEYS"] == overrides.SECRETS["api-keys"]
    assert "RAY_REDIS_ADDRESS" not in found
    command = service.start_command("cpu", overrides.RAY_START)
    assert "--resources='{\"no_gpu\": 1}'" in command
    assert f"--address={HEAD_HOST}:6379" in command
    assert f"--memory={12 * 2**30}" in command
    assert "--num-gpus=1" in service.start_command("gpu", overrides.RAY_START)


def test_workers_copy_their_artifacts_first(service: RayService) -> None:
    [command] = service.init_commands("gpu")
    assert "copy_files" in command[-1]
    assert service.init_environment("gpu") == MAPS["artifacts"]
    assert service.init_commands(HEAD) == []


def test_readiness_is_the_manifests(service: RayService) -> None:
    probe = service.readiness("gpu")
    assert (probe.path, probe.port, probe.failures) == ("/readyz", 8000, 2)


def test_overrides_leave_the_placement_alone() -> None:
    found = overrides.serve_config(CONFIG)
    shipped = yaml.safe_load(CONFIG)
    [application] = found["applications"]
    config = ServeConfig.model_validate(application["args"])
    assert (config.detector.kind, config.responder.kind) == ("scripted", "scripted")
    assert config.responder.replicas.gpus == 1
    assert application["deployments"] == shipped["applications"][0]["deployments"]
    assert found["http_options"] == shipped["http_options"]


def test_the_client_has_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FYE_API_KEYS", overrides.SECRETS["api-keys"])
    keys = open_keys(KeysConfig(variable="FYE_API_KEYS"), "10.0.0.1")
    assert keys is not None
    assert keys.find(overrides.KEY, Scope.RESPOND).name == "client"


def sent(end: End, pod: str | None = "gpu-1", started_s: float = 0, **more: Any) -> Sent:
    fields = {"emotion": Emotion.JOY, "status": 200, "ended_s": started_s + 3, **more}
    return Sent(Outcome(end=end, started_s=started_s, **fields), pod, retries=0)


HEAD_DIED = Struck(1, "head")
POD_DIED = Struck(1, "a pod", pod="gpu-1")
RESPONDERS_DIED = Struck(1, "all responders", has_replies=True, may_refuse=True)


@pytest.mark.parametrize(
    ("struck", "found"),
    [
        (HEAD_DIED, sent("ok")),
        (POD_DIED, sent("failed_explicitly")),
        (POD_DIED, sent("lost", status=None)),
        (RESPONDERS_DIED, sent("failed_explicitly", pod="cpu-1")),
        (RESPONDERS_DIED, sent("rejected", None, started_s=2, status=503, error=NO_POD)),
    ],
)
def test_accepts_what_was_in_flight_on_what_died(struck: Struck, found: Sent) -> None:
    assert list(judge([found], struck, lateness_s=0)) == []


@pytest.mark.parametrize(
    ("struck", "found"),
    [
        (HEAD_DIED, sent("failed_explicitly")),
        (HEAD_DIED, sent("rejected", status=503)),
        (POD_DIED, sent("failed_explicitly", pod="cpu-1")),
        (POD_DIED, sent("failed_explicitly", started_s=2)),
        (POD_DIED, sent("rejected", started_s=2, status=503)),
        (POD_DIED, sent("wrong")),
        (RESPONDERS_DIED, sent("hung")),
        (RESPONDERS_DIED, sent("lost", started_s=2, status=None)),
    ],
)
def test_reports_what_was_lost_in_addition(struck: Struck, found: Sent) -> None:
    assert len(list(judge([found], struck, lateness_s=0))) == 1


def test_reports_a_late_client() -> None:
    [problem] = judge([], HEAD_DIED, lateness_s=2 * MAX_LATENESS_S)
    assert "late" in problem


def test_counts_each_request_once() -> None:
    ends = [sent("ok"), sent("failed_explicitly"), sent("lost", status=None), sent("rejected")]
    row = Phase("a pod killed", ends, POD_DIED).row()
    assert [row[name] for name in ("sent", "answered", "cut", "failed", "refused")] == [
        4,
        1,
        1,
        1,
        1,
    ]
    assert row["in flight"] == 4


def details(**changes: Any) -> dict[str, Any]:
    deployment = {"status": "HEALTHY", "message": ""}
    application = {"status": "RUNNING", "message": "", "deployments": {"Detector": deployment}}
    return {
        "applications": {"face-your-emotions": application | changes},
        "proxies": {"node": {"status": "HEALTHY"}},
    }


def test_a_cluster_is_healthy_with_a_proxy_on_each_node() -> None:
    assert list(unhealthy_parts(details(), nodes=1)) == []
    [problem] = unhealthy_parts(details(), nodes=2)
    assert "proxies" in problem
    [problem] = unhealthy_parts(details(status="DEPLOYING"), nodes=1)
    assert "DEPLOYING" in problem
    assert list(unhealthy_parts({"applications": {}, "proxies": {}}, nodes=0))
