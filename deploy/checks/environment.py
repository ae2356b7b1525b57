"""Ray's variables of a cluster: the ConfigMap `ray-environment`, generated from one table.

The table is in `serve.cluster.ray_compat`; `serve run` sets its variables on one machine.
"""

import json

from deploy.checks.kustomize import KUBERAY, Manifest
from serve.cluster.ray_compat import cluster_variables
from serve.config import HttpConfig

FILE = KUBERAY / "base" / "environment.yaml"
HEAD = """\
# Generated from serve/cluster/ray_compat.py by `deploy/check --write`; Ray reads it at its start.
apiVersion: v1
kind: ConfigMap
metadata: { name: ray-environment }
data:
"""


def text(config: HttpConfig) -> str:
    """Return the manifest for the limits of a configuration."""
    variables = sorted(cluster_variables(config).items())
    return HEAD + "".join(f"  {name}: {json.dumps(value)}\n" for name, value in variables)


def problems_of(manifests: list[Manifest], config: HttpConfig) -> list[str]:
    """Return how the variables of an overlay differ from those that its configuration needs."""
    maps = [each for each in manifests if each["kind"] == "ConfigMap"]
    found = next((each for each in maps if each["metadata"]["name"] == "ray-environment"), None)
    if found is None:
        return ["there is no ConfigMap ray-environment"]
    expected = cluster_variables(config)
    differing = sorted(
        name for name in expected | found["data"] if expected.get(name) != found["data"].get(name)
    )
    if not differing:
        return []
    names = ", ".join(differing)
    return [f"{names} differ from serve/cluster/ray_compat.py; run deploy/check --write"]
