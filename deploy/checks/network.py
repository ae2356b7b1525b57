"""Rules of the network: who reaches the dashboard, and whether routes lead to services."""

from collections.abc import Iterator
from typing import Any

from deploy.checks.kustomize import Manifest
from deploy.checks.rayservice import INCREMENTAL

DASHBOARD_PORT = 8265
GATEWAY_PORT = 80
SERVE_PORT = 8000
PRODUCTION = "face-your-emotions"  # namespace of the release next to which a canary runs
# The label that pods of KubeRay's operator have by Helm and by kustomize alike.
OPERATOR = {"app.kubernetes.io/component": "kuberay-operator"}


def policy_problems(manifests: list[Manifest]) -> list[str]:
    """Return why KubeRay's operator cannot deploy: no policy lets it reach the dashboard."""
    peers = [
        peer.get("podSelector", {}).get("matchLabels")
        for policy in _of_kind(manifests, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        if DASHBOARD_PORT in {port["port"] for port in rule.get("ports", [])}
        for peer in rule.get("from", [])
    ]
    if OPERATOR in peers:
        return []
    return [f"no NetworkPolicy lets pods with {OPERATOR} reach port {DASHBOARD_PORT}"]


def route_problems(manifests: list[Manifest]) -> list[str]:
    """Return the services of routes that do not exist, or that a route may not name."""
    services = set(_services(manifests))
    granted = set(_granted(manifests))
    found = []
    for route in _of_kind(manifests, "HTTPRoute"):
        here = route["metadata"]["namespace"]
        for namespace, name, port in _backends(route, here):
            if (namespace, name, port) not in services:
                found.append(f"a route leads to {name}:{port} in {namespace}, which does not exist")
            elif namespace != here and (here, namespace) not in granted:
                found.append(f"{namespace} has no ReferenceGrant for routes of {here}")
    return found


def _of_kind(manifests: list[Manifest], kind: str) -> Iterator[Manifest]:
    return (each for each in manifests if each["kind"] == kind)


def _backends(route: Manifest, here: str) -> Iterator[tuple[str, str, int]]:
    for rule in route["spec"]["rules"]:
        for backend in rule["backendRefs"]:
            yield backend.get("namespace", here), backend["name"], backend["port"]


def _granted(manifests: list[Manifest]) -> Iterator[tuple[str, str]]:
    """Yield the namespace of a route and that of the services which it may name."""
    for grant in _of_kind(manifests, "ReferenceGrant"):
        for origin in grant["spec"]["from"]:
            yield origin["namespace"], grant["metadata"]["namespace"]


def _services(manifests: list[Manifest]) -> Iterator[tuple[str, str, int]]:
    """Yield namespace, name and port of each service, those of RayServices too.

    With an incremental upgrade KubeRay names the Serve service after a generated cluster and makes
    a Gateway, for which Istio makes a service with a stable name.
    """
    for service in _of_kind(manifests, "Service"):
        for port in service["spec"]["ports"]:
            yield service["metadata"]["namespace"], service["metadata"]["name"], port["port"]
    for service in _of_kind(manifests, "RayService"):
        for namespace in {service["metadata"]["namespace"], PRODUCTION}:
            yield namespace, *_entry(service)


def _entry(service: dict[str, Any]) -> tuple[str, int]:
    name = service["metadata"]["name"]
    upgrade = service["spec"].get("upgradeStrategy", {})
    if upgrade.get("type") != INCREMENTAL:
        return f"{name}-serve-svc", SERVE_PORT
    gateway_class = upgrade["clusterUpgradeOptions"]["gatewayClassName"]
    return f"{name}-gateway-{gateway_class}", GATEWAY_PORT
