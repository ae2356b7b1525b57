"""The overlays pass every check, and each check finds what it is there for."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.checks import (
    environment,
    kustomize,
    network,
    overlays,
    placement,
    rayservice,
    schemas,
    serve_config,
)
from deploy.checks.kustomize import KUBERAY, OVERLAYS, Manifest
from serve.cluster.ray_compat import RAY_VARIABLES, cluster_variables, http_variables
from serve.config import HttpConfig

BASE = KUBERAY / "base"
OVERLAYS_FOLDER = KUBERAY / "overlays"
ONE_GPU = (OVERLAYS_FOLDER / "one-gpu" / "serve.yaml").read_text("utf-8")
EIGHT_GPUS = (OVERLAYS_FOLDER / "eight-gpus" / "serve.yaml").read_text("utf-8")
needs_kustomize = pytest.mark.skipif(not kustomize.command(), reason=kustomize.MISSING)


@pytest.fixture
def service() -> Manifest:
    found: Manifest = yaml.safe_load((BASE / "rayservice.yaml").read_text("utf-8"))
    return found


@cache
def _base(name: str) -> tuple[Manifest, ...]:
    return tuple(yaml.safe_load_all((BASE / name).read_text("utf-8")))


def worker(service: Manifest, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][index]
    return found


def config_map(name: str, data: dict[str, str]) -> Manifest:
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def one_gpu(**changes: object) -> str:
    """Return the Serve config of one GPU, with other arguments."""
    document = yaml.safe_load(ONE_GPU)
    document["applications"][0]["args"] |= changes
    return yaml.safe_dump(document)


@needs_kustomize
@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_passes(name: str) -> None:
    manifests = kustomize.overlay(name)
    assert {"RayService", "NetworkPolicy", "ConfigMap"} <= {each["kind"] for each in manifests}
    assert overlays.problems_of(manifests) == []


def release(kind: str, namespace: str) -> Manifest:
    return {"kind": kind, "metadata": {"name": "face-your-emotions", "namespace": namespace}}


@pytest.mark.parametrize(
    ("namespaces", "said"),
    [
        (["face-your-emotions"], []),
        ([], ["no alert is raised"]),
        (["face-your-emotions", "face-your-emotions-canary"], ["each alert twice"]),
    ],
)
def test_alerts_are_those_of_production(namespaces: list[str], said: list[str]) -> None:
    rules = [release("PrometheusRule", namespace) for namespace in namespaces]
    service = release("RayService", "face-your-emotions")
    problems = overlays.alert_problems([service, *rules])
    assert len(problems) == len(said)
    assert all(part in problem for part, problem in zip(said, problems, strict=True))


@needs_kustomize
def test_a_folder_without_a_kustomization_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(kustomize.BuildFailed, match=r"kustomization"):
        kustomize.build(tmp_path)


def test_the_generated_environment_is_current() -> None:
    assert environment.FILE.read_text("utf-8") == environment.text(HttpConfig())


def test_a_cluster_gets_every_variable_of_serve_run() -> None:
    there = set(cluster_variables(HttpConfig()))
    local = set(RAY_VARIABLES) | set(http_variables(HttpConfig(), Path("/x"), 1))
    assert local - there == {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}


def test_variables_that_differ_are_named() -> None:
    data = cluster_variables(HttpConfig())
    del data["RAY_SERVE_ENABLE_HA_PROXY"]
    longer = HttpConfig(max_timeout_ms=600_000)
    [problem] = environment.problems_of([config_map("ray-environment-k8ct84kgdg", data)], longer)
    assert "RAY_SERVE_ENABLE_HA_PROXY" in problem
    assert "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S" in problem


@pytest.mark.parametrize(
    ("name", "there", "said"),
    [
        ("ray-environment-k8ct84kgdg", "ray-environment-k8ct84kgdg", ""),
        ("ray-environment", "ray-environment", "keeps its name"),
        ("ray-environment-k8ct84kgdg", "ray-environment-2khg7592tt", "does not exist"),
    ],
)
def test_a_changed_config_map_must_reach_all_pods(
    service: Manifest, name: str, there: str, said: str
) -> None:
    for _, template in rayservice.pods(service):
        template["spec"].pop("initContainers", None)
        template["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": name}}]
    problems = environment.reference_problems(service, [config_map(there, {})])
    assert len(problems) == bool(said)
    assert said in str(problems)


def test_the_operator_must_reach_the_dashboard() -> None:
    policies = copy.deepcopy(list(_base("network.yaml")))
    assert network.policy_problems(policies) == []
    for rule in policies[0]["spec"]["ingress"]:
        for peer in rule.get("from", []):
            if "namespaceSelector" in peer and "podSelector" in peer:
                peer["podSelector"] = {"matchLabels": {"app.kubernetes.io/name": "kuberay"}}
    assert "8265" in str(network.policy_problems(policies))


def _generated_service(manifests: list[Manifest]) -> None:
    manifests[1]["spec"]["rules"][0]["backendRefs"][0] |= {
        "name": "face-your-emotions-serve-svc",
        "port": 8000,
    }


def _no_grant(manifests: list[Manifest]) -> None:
    manifests[2]["spec"]["from"][0]["namespace"] = "elsewhere"


@pytest.mark.parametrize(
    ("change", "said"),
    [(_generated_service, "serve-svc:8000"), (_no_grant, "ReferenceGrant")],
)
def test_a_route_must_lead_to_a_service(service: Manifest, change: Any, said: str) -> None:
    text = (OVERLAYS_FOLDER / "canary" / "route.yaml").read_text("utf-8")
    service["metadata"]["namespace"] = "face-your-emotions-canary"
    manifests = list(yaml.safe_load_all(text))
    assert network.route_problems([*manifests, service]) == []
    change(manifests)
    [problem] = network.route_problems([*manifests, service])
    assert said in problem


def test_kubernetes_schemas_refuse_an_unknown_field() -> None:
    policy = copy.deepcopy(_base("network.yaml")[0])
    assert schemas.problems_of(policy) == []
    policy["spec"]["podSelectors"] = {}
    assert "podSelectors" in str(schemas.problems_of(policy))


@pytest.mark.skipif(schemas.ray_service_schema() is None, reason=schemas.HOW_TO_GET)
def test_the_schema_of_kuberay_refuses_an_unknown_field(service: Manifest) -> None:
    assert schemas.problems_of(service) == []
    service["spec"]["rayClusterConfig"]["workers"] = []
    assert "workers" in str(schemas.problems_of(service))


def test_the_base_keeps_the_rules(service: Manifest) -> None:
    assert rayservice.problems_of(service) == []
    assert rayservice.disruption_problems([service]) == []


def _rename(service: Manifest) -> None:
    service["metadata"]["name"] = "a" * 48


def _steps(service: Manifest) -> None:
    service["spec"]["upgradeStrategy"]["clusterUpgradeOptions"]["stepSizePercent"] = 26


def _no_autoscaler(service: Manifest) -> None:
    service["spec"]["rayClusterConfig"]["enableInTreeAutoscaling"] = False


def _restart(service: Manifest) -> None:
    worker(service)["template"]["spec"]["restartPolicy"] = "Always"


def _no_environment(service: Manifest) -> None:
    del worker(service)["template"]["spec"]["containers"][0]["envFrom"]


def _proxy_probe(service: Manifest) -> None:
    container = worker(service)["template"]["spec"]["containers"][0]
    container["readinessProbe"]["httpGet"]["path"] = "/-/healthz"


def _no_gcs(service: Manifest) -> None:
    del service["spec"]["rayClusterConfig"]["gcsFaultToleranceOptions"]


def _no_gpu(service: Manifest) -> None:
    worker(service, 1)["rayStartParams"]["num-gpus"] = "2"


def _root(service: Manifest) -> None:
    worker(service)["template"]["spec"]["securityContext"]["runAsNonRoot"] = False


def _no_spread(service: Manifest) -> None:
    del worker(service, 1)["template"]["spec"]["topologySpreadConstraints"]


def _privileged_autoscaler(service: Manifest) -> None:
    del service["spec"]["rayClusterConfig"]["autoscalerOptions"]["securityContext"]


def _other_logs(service: Manifest) -> None:
    pod = service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    for each in (*pod["volumes"], *pod["containers"][0]["volumeMounts"]):
        each["name"] = each["name"].replace("ray-logs", "ray")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_rename, "47"),
        (_steps, "stepSizePercent 26"),
        (_no_autoscaler, "enableInTreeAutoscaling"),
        (_restart, "restartPolicy"),
        (_no_environment, "ray-environment"),
        (_proxy_probe, "/-/healthz"),
        (_no_gcs, "gcsFaultToleranceOptions"),
        (_no_gpu, "Ray is told 2"),
        (_root, "runAsNonRoot"),
        (_no_spread, "gpu: without topologySpreadConstraints"),
        (_privileged_autoscaler, "autoscalerOptions.securityContext"),
        (_other_logs, "volume at /tmp/ray is ray;"),
    ],
)
def test_a_broken_rule_is_named(service: Manifest, change: Any, said: str) -> None:
    service = copy.deepcopy(service)  # YAML's anchors share parts of it
    change(service)
    assert said in str(rayservice.problems_of(service))


def test_a_budget_that_blocks_every_drain_is_named(service: Manifest) -> None:
    worker(service)["minReplicas"] = 2
    problems = rayservice.disruption_problems([service, *_base("disruption.yaml")])
    assert [problem.split()[3] for problem in problems] == ["gpu"]


def test_pods_must_outlive_the_longest_stream(service: Manifest) -> None:
    assert rayservice.longest_stream_problems(service, 120_000) == []
    assert len(rayservice.longest_stream_problems(service, 180_000)) == 2


def test_a_serve_config_for_one_machine_is_refused() -> None:
    local = (KUBERAY.parent / "gpu.yaml").read_text("utf-8")
    problems = str(serve_config.problems_of(local))
    assert "127.0.0.1" in problems
    assert "responder.adapters is runs/" in problems
    assert "responder.publish_roots is runs" in problems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (one_gpu(api_keys={}), "API keys"),
        (one_gpu(detectors={}), "detectors"),
        (one_gpu(scaling="coupled"), "policy_function"),
        (EIGHT_GPUS.replace("scaling: coupled", "scaling: serve"), "args.scaling is serve"),
        (EIGHT_GPUS.replace("slo_ttft_ms", "slo"), "policy_kwargs"),
        (ONE_GPU.replace("serve.app:build", "serve.app:bild"), "cannot be called"),
        (ONE_GPU + "    deployments: [{ name: Detektor }]\n", "Detektor"),
    ],
)
def test_a_serve_config_with_a_mistake_is_refused(text: str, said: str) -> None:
    assert serve_config.problems_of(ONE_GPU) == serve_config.problems_of(EIGHT_GPUS) == []
    assert said in str(serve_config.problems_of(text))


def _many(text: str) -> str:
    return text.replace("cpus: 4, gpus: 1", "maximum: 2, cpus: 4, gpus: 1")


def _anywhere(text: str) -> str:
    return text.replace("num_cpus: 2, resources: { no_gpu: 0.001 }", "num_cpus: 2")


def _controller_anywhere(text: str) -> str:
    return text.replace("num_cpus: 0, resources: { no_gpu: 0.001 }", "num_cpus: 0")


def _unknown_resource(text: str) -> str:
    return text.replace("no_gpu", "detector")


def _differing_cpus(text: str) -> str:
    return text.replace("num_cpus: 2", "num_cpus: 1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_many, ["Responder: 2 replicas are allowed, and the worker groups have room for 1"]),
        (_anywhere, ["Detector: its replicas may run on gpu pods"]),
        (_controller_anywhere, ["AdapterController: its replicas may run on head", "on gpu pods"]),
        (_unknown_resource, ["Detector: 4 replicas", "AdapterController: 1 replicas"]),
        (_differing_cpus, ["Detector: ray_actor_options ask for 1 CPUs"]),
    ],
)
def test_replicas_must_fit_where_they_belong(
    service: Manifest, change: Any, said: list[str]
) -> None:
    cluster = service["spec"]["rayClusterConfig"]
    assert placement.problems_of(ONE_GPU, cluster) == []
    problems = placement.problems_of(change(ONE_GPU), cluster)
    assert len(problems) == len(said)
    assert all(part in problem for part, problem in zip(said, problems, strict=True))


def test_a_resource_of_a_group_must_be_one_that_ray_reads(service: Manifest) -> None:
    group = worker(service)
    group["rayStartParams"]["resources"] = '"{\\"no_gpu\\": 2}"'
    cluster = service["spec"]["rayClusterConfig"]
    assert placement.problems_of(ONE_GPU, cluster) == []
    group["rayStartParams"]["resources"] = '"{\\"no_gpu\\": 2.1}"'
    assert "whole number" in str(placement.problems_of(ONE_GPU, cluster))
