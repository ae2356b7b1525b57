"""Ray's variables of a cluster, generated from one table, and the ConfigMaps that pods read.

The table is in `serve.cluster.ray_compat`; `serve run` sets its variables on one machine. kustomize
makes the ConfigMap `ray-environment` of them.
"""

from collections.abc import Iterator

from deploy.checks.kustomize import KUBERAY, Manifest, plain_name
from deploy.checks.rayservice import ENVIRONMENT, pods
from serve.cluster.ray_compat import cluster_variables
from serve.config import HttpConfig

FILE = KUBERAY / "base" / "environment.env"
HEAD = """\
# Generated from serve/cluster/ray_compat.py by `deploy/check --write`; Ray reads it at its start.
"""


def text(config: HttpConfig) -> str:
    """Return the file of variables for the limits of a configuration."""
    variables = sorted(cluster_variables(config).items())
    return HEAD + "".join(f"{name}={value}\n" for name, value in variables)


def problems_of(manifests: list[Manifest], config: HttpConfig) -> list[str]:
    """Return how the variables of an overlay differ from those that its configuration needs."""
    maps = {plain_name(each["metadata"]["name"]): each for each in _maps(manifests)}
    found = maps.get(ENVIRONMENT)
    if found is None:
        return [f"there is no ConfigMap {ENVIRONMENT}"]
    expected = cluster_variables(config)
    differing = sorted(
        name for name in expected | found["data"] if expected.get(name) != found["data"].get(name)
    )
    if not differing:
        return []
    names = ", ".join(differing)
    return [f"{names} differ from serve/cluster/ray_compat.py; run deploy/check --write"]


def reference_problems(service: Manifest, manifests: list[Manifest]) -> list[str]:
    """Return ConfigMaps that pods read and that are missing or keep their name when they change.

    KubeRay starts a new cluster when a pod template differs. If only the content of a ConfigMap
    differs, pods that start later would have other values than those that run.
    """
    there = {each["metadata"]["name"] for each in _maps(manifests)}
    found = []
    for name in sorted(set(_read_maps(service))):
        if name not in there:
            found.append(f"pods read the ConfigMap {name}, which does not exist")
        elif plain_name(name) == name:
            found.append(f"the ConfigMap {name} keeps its name when it changes: give it a hash")
    return found


def _maps(manifests: list[Manifest]) -> Iterator[Manifest]:
    return (each for each in manifests if each["kind"] == "ConfigMap")


def _read_maps(service: Manifest) -> Iterator[str]:
    for _, template in pods(service):
        pod = template["spec"]
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            for source in container.get("envFrom", []):
                if "configMapRef" in source:
                    yield source["configMapRef"]["name"]
