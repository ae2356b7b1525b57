"""Validates manifests against schemas: Kubernetes' own, and KubeRay's for a RayService."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

from deploy.checks.kustomize import Manifest

KUBERNETES = "1.33"
RAY_SERVICE = "RayService"
SCHEMA = "rayservice-v1.schema.json"
VARIABLE = "FYE_SCHEMAS"
# Kinds of other projects, for which no schema is at hand. Their names are checked here.
WITHOUT_SCHEMA = {
    "Gateway": "gateway.networking.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
    "ReferenceGrant": "gateway.networking.k8s.io/v1beta1",
}
HOW_TO_GET = (
    f"no schema of RayService: make {SCHEMA} from the `openAPIV3Schema` of KubeRay's"
    f" CustomResourceDefinition ray.io_rayservices.yaml (v1.7) and name its folder in {VARIABLE}"
)


def problems_of(manifest: Manifest) -> list[str]:
    """Return what a schema says against a manifest."""
    kind = manifest.get("kind", "")
    if kind == RAY_SERVICE:
        return _ray_service(manifest)
    if kind in WITHOUT_SCHEMA:
        found = manifest.get("apiVersion")
        expected = WITHOUT_SCHEMA[kind]
        return [] if found == expected else [f"apiVersion is {found}, expected {expected}"]
    try:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"Kubernetes {KUBERNETES} has no kind {kind} in {manifest.get('apiVersion')}"]
    return []


@cache
def ray_service_schema() -> dict[str, Any] | None:
    """Return KubeRay's schema of a RayService, or None if it is not on this machine."""
    file = Path(os.environ.get(VARIABLE, "")) / SCHEMA
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def _ray_service(manifest: Manifest) -> list[str]:
    schema = ray_service_schema()
    if schema is None:
        return []
    errors = jsonschema.Draft202012Validator(schema).iter_errors(manifest)
    return [f"{error.json_path}: {error.message}" for error in errors]
