"""Rules of a RayService that its schema cannot say: KubeRay's own, and this project's.

KubeRay's are those of its v1.7 validation code. This project's keep the pods safe and let streams
end when a pod is deleted.
"""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from deploy.checks.kustomize import Manifest, plain_name

NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONGEST_NAME = 47
INCREMENTAL = "NewClusterWithIncrementalUpgrade"
ENVIRONMENT = "ray-environment"
GRAPH_PROBE = "/readyz"
STOP_MARGIN_S = 10
LOGS = "/tmp/ray"  # noqa: S108 (Ray's folder in a pod)
LOGS_VOLUME = "ray-logs"


def problems_of(service: Manifest) -> list[str]:
    """Return what is wrong with a RayService."""
    spec = service["spec"]
    rules = (
        _name(service["metadata"]["name"]),
        _upgrade(spec),
        _cluster(spec["rayClusterConfig"]),
        *(_pod(name, template) for name, template in pods(service)),
        *(_worker(group) for group in spec["rayClusterConfig"]["workerGroupSpecs"]),
    )
    return list(chain.from_iterable(rules))


def pods(service: Manifest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each pod template with its name: `head`, or that of the worker group."""
    cluster = service["spec"]["rayClusterConfig"]
    yield "head", cluster["headGroupSpec"]["template"]
    for group in cluster["workerGroupSpecs"]:
        yield group["groupName"], group["template"]


def disruption_problems(manifests: list[Manifest]) -> list[str]:
    """Return budgets that would block every drain: their group may have no pod to spare."""
    groups = {
        group["groupName"]: group.get("minReplicas", 0)
        for service in manifests
        if service["kind"] == "RayService"
        for group in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    }
    found = []
    for budget in (each for each in manifests if each["kind"] == "PodDisruptionBudget"):
        group = budget["spec"]["selector"]["matchLabels"].get("ray.io/group")
        minimum = budget["spec"].get("minAvailable")
        if group not in groups:
            found.append(f"the budget of {group} fits no worker group")
        elif not isinstance(minimum, int):
            found.append(f"the budget of {group} needs a minAvailable in numbers")
        elif minimum >= groups[group]:
            found.append(
                f"the budget of {group} keeps {minimum} pods and the group may have only"
                f" {groups[group]}: no node could be drained"
            )
    return found


def longest_stream_problems(service: Manifest, max_timeout_ms: int) -> list[str]:
    """Return worker groups whose pods are killed before their longest stream has ended."""
    longest_s = max_timeout_ms / 1000 + STOP_MARGIN_S
    return [
        f"{name}: terminationGracePeriodSeconds is {grace_s}, the longest stream takes"
        f" {longest_s:.0f} s"
        for name, template in pods(service)
        if name != "head"
        and (grace_s := template["spec"].get("terminationGracePeriodSeconds", 30)) < longest_s
    ]


def _name(name: str) -> Iterator[str]:
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        yield f"the name {name} is no DNS label of at most {LONGEST_NAME} characters"


def _upgrade(spec: dict[str, Any]) -> Iterator[str]:
    upgrade = spec.get("upgradeStrategy", {})
    if upgrade.get("type") != INCREMENTAL:
        return
    options = upgrade.get("clusterUpgradeOptions", {})
    step = options.get("stepSizePercent", -1)
    surge = options.get("maxSurgePercent", 100)
    if not 0 <= step <= surge <= 100:
        yield f"stepSizePercent {step}, maxSurgePercent {surge}: not 0 <= step <= surge <= 100"
    if options.get("intervalSeconds", 0) <= 0:
        yield "clusterUpgradeOptions.intervalSeconds must be above 0"
    if not options.get("gatewayClassName"):
        yield "an incremental upgrade needs Gateway API: set gatewayClassName"
    if not spec["rayClusterConfig"].get("enableInTreeAutoscaling"):
        yield "an incremental upgrade needs enableInTreeAutoscaling: true"


def _cluster(cluster: dict[str, Any]) -> Iterator[str]:
    if cluster.get("authOptions", {}).get("enableK8sTokenAuth"):
        yield "KubeRay refuses enableK8sTokenAuth for a RayService"
    if "name" in cluster["headGroupSpec"].get("headService", {}).get("metadata", {}):
        yield "the name of the head service must stay unset"
    if "gcsFaultToleranceOptions" not in cluster:
        yield "without gcsFaultToleranceOptions a head that dies ends the cluster"
    if cluster["headGroupSpec"]["rayStartParams"].get("num-cpus") != "0":
        yield 'the head must have num-cpus: "0", so that no replica runs on it'
    autoscaler = cluster.get("autoscalerOptions", {})
    if autoscaler.get("securityContext", {}).get("allowPrivilegeEscalation", True):
        yield "autoscalerOptions.securityContext: allowPrivilegeEscalation is not false"


def _worker(group: dict[str, Any]) -> Iterator[str]:
    name = group["groupName"]
    container = group["template"]["spec"]["containers"][0]
    probe = container.get("readinessProbe", {}).get("httpGet", {}).get("path")
    if probe != GRAPH_PROBE:
        yield f"{name}: the readiness probe asks {probe}, not {GRAPH_PROBE} of the graph"
    if "preStop" not in container.get("lifecycle", {}):
        yield f"{name}: without a preStop hook a deleted pod cuts its streams"
    if group.get("maxReplicas", 0) < group.get("minReplicas", 0):
        yield f"{name}: maxReplicas is below minReplicas"
    if name not in _spread_groups(group["template"]):
        yield f"{name}: without topologySpreadConstraints one machine may have all of its pods"
    limit = container["resources"]["limits"].get("nvidia.com/gpu", "0")
    told = group["rayStartParams"].get("num-gpus", "0")
    if limit != told:
        yield f"{name}: the pod has {limit} GPUs and Ray is told {told}"


def _mounts(where: str, mounts: list[dict[str, Any]], volumes: set[str]) -> Iterator[str]:
    missing = {mount["name"] for mount in mounts} - volumes
    if missing:
        yield f"{where}: no volume is called {', '.join(sorted(missing))}"
    for mount in mounts:
        if mount["mountPath"] == LOGS and mount["name"] != LOGS_VOLUME:
            yield (
                f"{where}: the volume at {LOGS} is {mount['name']}; KubeRay gives the autoscaler"
                f" another one unless it is {LOGS_VOLUME}"
            )


def _spread_groups(template: dict[str, Any]) -> set[str]:
    """Return the groups whose pods a template spreads over machines."""
    return {
        each["labelSelector"]["matchLabels"].get("ray.io/group", "")
        for each in template["spec"].get("topologySpreadConstraints", [])
        if each["topologyKey"] == "kubernetes.io/hostname"
    }


def _pod(name: str, template: dict[str, Any]) -> Iterator[str]:
    pod = template["spec"]
    if pod.get("restartPolicy", "Never") != "Never":
        yield f"{name}: autoscaler v2 needs restartPolicy Never"
    if not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield f"{name}: runAsNonRoot is not set"
    mounted = {volume["name"] for volume in pod.get("volumes", [])}
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        where = f"{name}/{container['name']}"
        if container.get("securityContext", {}).get("allowPrivilegeEscalation", True):
            yield f"{where}: allowPrivilegeEscalation is not false"
        if "limits" not in container.get("resources", {}):
            yield f"{where}: there are no resource limits"
        yield from _mounts(where, container.get("volumeMounts", []), mounted)
    sources = pod["containers"][0].get("envFrom", [])
    read = {plain_name(source.get("configMapRef", {}).get("name", "")) for source in sources}
    if ENVIRONMENT not in read:
        yield f"{name}: envFrom lacks {ENVIRONMENT}, which has the variables of `serve run`"
