"""All checks of one overlay's manifests."""

from deploy.checks import environment, network, placement, rayservice, schemas, serve_config
from deploy.checks.kustomize import Manifest
from deploy.checks.network import PRODUCTION

RULES = "PrometheusRule"


def problems_of(manifests: list[Manifest]) -> list[str]:
    """Return every problem of an overlay, each with the manifest that has it."""
    found = [
        f"{manifest['kind']} {manifest['metadata']['name']}: {problem}"
        for manifest in manifests
        for problem in schemas.problems_of(manifest)
    ]
    services = [each for each in manifests if each["kind"] == schemas.RAY_SERVICE]
    if not services:
        found.append("there is no RayService")
    for service in services:
        found += _service_problems(service, manifests)
    return [
        *found,
        *rayservice.disruption_problems(manifests),
        *network.policy_problems(manifests),
        *network.route_problems(manifests),
        *alert_problems(manifests),
    ]


def alert_problems(manifests: list[Manifest]) -> list[str]:
    """Return whether an overlay of production has no alerts, or another one has them again."""
    namespaces = {each["metadata"]["namespace"] for each in manifests if each["kind"] == RULES}
    releases = {
        each["metadata"]["namespace"] for each in manifests if each["kind"] == schemas.RAY_SERVICE
    }
    found = [
        f"there is no {RULES}: no alert is raised" for _ in releases & {PRODUCTION} - namespaces
    ]
    if namespaces - {PRODUCTION}:
        found.append(f"a {RULES} outside {PRODUCTION} would raise each alert twice")
    return found


def _service_problems(service: Manifest, manifests: list[Manifest]) -> list[str]:
    text = service["spec"]["serveConfigV2"]
    found = rayservice.problems_of(service) + serve_config.problems_of(text)
    found += environment.reference_problems(service, manifests)
    try:
        config = serve_config.parse(text)
    except ValueError:
        return found  # reported above
    return [
        *found,
        *environment.problems_of(manifests, config.http),
        *placement.problems_of(text, service["spec"]["rayClusterConfig"]),
        *rayservice.longest_stream_problems(service, config.http.max_timeout_ms),
    ]
