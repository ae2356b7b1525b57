"""Pods of a RayService as KubeRay 1.7 makes them: their commands and their environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.checks import kustomize
from deploy.checks.kustomize import Manifest

Group = dict[str, Any]
HEAD = "head"
GCS_PORT = 6379
METRICS_PORT = 8080
AGENT_PORT = 52365
HEAD_HOST = "face-your-emotions-local-head-svc.face-your-emotions.svc.cluster.local"
# A replacement of the operator for pods of every RayService, and of those with a GCS that survives.
RAY_SERVICE = {
    "RAY_timeout_ms_task_wait_for_death_info": "0",
    "RAY_gcs_server_request_timeout_seconds": "5",
    "RAY_SERVE_KV_TIMEOUT_S": "5",
    "RAY_USAGE_STATS_KUBERAY_IN_USE": "1",
    "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE": "1",
}
RECONNECT_S = "600"  # for a worker to find the GCS again
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True)
class Probe:
    """Readiness probe of a pod. Times are in seconds."""

    path: str
    port: int
    period_s: float
    timeout_s: float
    failures: int


class RayService:
    """RayService of an overlay, with everything that its pods read.

    Args:
        manifests: of the overlay, as kustomize builds them.
        secrets: content of the Secret by key.
    """

    def __init__(self, manifests: list[Manifest], secrets: Mapping[str, str]) -> None:
        [found] = [each for each in manifests if each["kind"] == "RayService"]
        self._maps = {
            each["metadata"]["name"]: each["data"]
            for each in manifests
            if each["kind"] == "ConfigMap"
        }
        self._secrets = secrets
        self._cluster = found["spec"]["rayClusterConfig"]
        self.serve_config: str = found["spec"]["serveConfigV2"]

    @classmethod
    def of_overlay(cls, name: str, secrets: Mapping[str, str]) -> "RayService":
        """Build an overlay. Raises BuildFailed if kustomize is missing or refuses it."""
        return cls(kustomize.overlay(name), secrets)

    @property
    def groups(self) -> dict[str, int]:
        """Number of pods that each worker group starts with."""
        return {
            each["groupName"]: each["minReplicas"] for each in self._cluster["workerGroupSpecs"]
        }

    def environment(self, group: str, pod: str) -> dict[str, str]:
        """Return the variables of a pod: the manifest's, then the operator's."""
        is_head = group == HEAD
        host = "127.0.0.1" if is_head else HEAD_HOST
        operator = RAY_SERVICE | {
            "RAY_CLUSTER_NAME": "face-your-emotions-local",
            "RAY_CLOUD_INSTANCE_ID": pod,
            "RAY_NODE_TYPE_NAME": "headgroup" if is_head else group,
            "RAY_PORT": str(GCS_PORT),
            "RAY_ADDRESS": f"{host}:{GCS_PORT}",
        }
        fault_tolerance = self._cluster.get("gcsFaultToleranceOptions")
        if fault_tolerance and is_head:
            password = fault_tolerance["redisPassword"]
            operator |= {
                "RAY_REDIS_ADDRESS": fault_tolerance["redisAddress"],
                "REDIS_PASSWORD": self._value(password) or "",
                "RAY_external_storage_namespace": "face-your-emotions-local",
            }
        elif fault_tolerance:
            operator["RAY_gcs_rpc_server_reconnect_timeout_s"] = RECONNECT_S
        return operator | self._variables(self._container(group))

    def start_command(self, group: str, overrides: Mapping[str, str]) -> str:
        """Return the shell command of a pod, which starts Ray with the group's parameters."""
        limits = self._container(group)["resources"]["limits"]
        parameters = dict(self._spec(group)["rayStartParams"])
        parameters.setdefault("memory", str(_bytes(limits["memory"])))
        parameters |= {
            "metrics-export-port": str(METRICS_PORT),
            "dashboard-agent-listen-port": str(AGENT_PORT),
            "block": "true",
        }
        if group == HEAD:
            parameters |= {"head": "true", "no-monitor": "true"}  # the autoscaler is in the pod
            if "redisPassword" in self._cluster.get("gcsFaultToleranceOptions", {}):
                parameters["redis-password"] = "$REDIS_PASSWORD"
        else:
            parameters["address"] = f"{HEAD_HOST}:{GCS_PORT}"
        flags = (
            f"--{name}" if value == "true" else f"--{name}={value}"
            for name, value in (parameters | dict(overrides)).items()
        )
        return f"cd /app; ulimit -n 65536; ray start {' '.join(flags)}"

    def init_commands(self, group: str) -> list[list[str]]:
        """Return the commands of a pod's init containers."""
        return [
            [*each["command"], *each["args"]]
            for each in self._spec(group)["template"]["spec"].get("initContainers", [])
        ]

    def init_environment(self, group: str) -> dict[str, str]:
        """Return the variables of a pod's init containers."""
        found: dict[str, str] = {}
        for each in self._spec(group)["template"]["spec"].get("initContainers", []):
            found |= self._variables(each)
        return found

    def readiness(self, group: str) -> Probe:
        """Return the readiness probe of a worker group."""
        container = self._container(group)
        probe = container["readinessProbe"]
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        return Probe(
            path=probe["httpGet"]["path"],
            port=ports[probe["httpGet"]["port"]],
            period_s=probe.get("periodSeconds", 10),
            timeout_s=probe.get("timeoutSeconds", 1),
            failures=probe.get("failureThreshold", 3),
        )

    def _spec(self, group: str) -> Group:
        if group == HEAD:
            return dict(self._cluster["headGroupSpec"])
        return next(
            each for each in self._cluster["workerGroupSpecs"] if each["groupName"] == group
        )

    def _container(self, group: str) -> dict[str, Any]:
        return dict(self._spec(group)["template"]["spec"]["containers"][0])

    def _variables(self, container: dict[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found |= self._maps.get(source.get("configMapRef", {}).get("name", ""), {})
        for variable in container.get("env", []):
            value = self._value(variable)
            if value is not None:
                found[variable["name"]] = value
        return found

    def _value(self, variable: dict[str, Any]) -> str | None:
        if "value" in variable:
            return str(variable["value"])
        return self._secrets.get(variable["valueFrom"]["secretKeyRef"]["key"])


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]
