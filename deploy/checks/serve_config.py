"""Checks a Serve config as Serve reads it, and its arguments as `serve.app:build` does."""

from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from ray.serve.schema import ServeDeploySchema

from serve.capacity.ray_policy import ApplicationPolicy
from serve.config import ServeConfig
from serve.errors import ConfigError

DEPLOYMENTS = {"AdapterController", "Detector", "Responder"}
POLICY = "serve.capacity.ray_policy:ApplicationPolicy"
IN_CLUSTER = ("/artifacts", "/cache", "/opt")  # paths of the pods


def parse(text: str) -> ServeConfig:
    """Return the arguments of the first application.

    Raises:
        ValueError: Serve or this project refuses the text.
    """
    document = yaml.safe_load(text)
    if not ServeDeploySchema.model_validate(document).applications:
        raise ValueError("there is no application")
    return ServeConfig.model_validate(document["applications"][0].get("args", {}))


def problems_of(text: str) -> list[str]:
    """Return what is wrong with the Serve config of a cluster."""
    try:
        config = parse(text)
    except (ValueError, yaml.YAMLError) as error:
        return [f"serveConfigV2: {error}"]
    document = yaml.safe_load(text)
    found = [problem for each in document["applications"] for problem in _application(each)]
    found += _policy(document["applications"][0], config)
    return [*found, *_address(document, config), *_paths(config)]


def _application(application: dict[str, Any]) -> list[str]:
    found = []
    module, _, attribute = application["import_path"].partition(":")
    try:
        if not callable(getattr(import_module(module), attribute, None)):
            found.append(f"{application['import_path']} cannot be called")
    except ImportError as error:
        found.append(f"{application['import_path']} cannot be imported: {error}")
    named = {each["name"] for each in application.get("deployments", [])}
    if named - DEPLOYMENTS:
        found.append(f"unknown deployments: {', '.join(sorted(named - DEPLOYMENTS))}")
    return found


def _policy(application: dict[str, Any], config: ServeConfig) -> list[str]:
    """Return how the policy of the application differs from `args.scaling`."""
    policy = application.get("autoscaling_policy") or {}
    if policy.get("policy_function") != (POLICY if config.scaling == "coupled" else None):
        return [f"args.scaling is {config.scaling}: coupled goes with the policy_function {POLICY}"]
    try:
        ApplicationPolicy(**policy.get("policy_kwargs", {}))
    except ConfigError as error:
        return [str(error)]
    return []


def _address(document: dict[str, Any], config: ServeConfig) -> list[str]:
    host = document.get("http_options", {}).get("host", "0.0.0.0")  # noqa: S104 (Serve's default)
    if ip_address(host).is_loopback:
        return [f"http_options.host is {host}: nothing outside the pod could connect"]
    keys = config.api_keys
    if not (keys.file or keys.variable or keys.unneeded):
        return ["there are no API keys: set api_keys.variable, or api_keys.unneeded"]
    return []


def _paths(config: ServeConfig) -> list[str]:
    """Return paths that no pod has. The shipped artefacts are part of the image."""
    named: list[tuple[str, Path | None]] = [
        ("detector.artifact", config.detector.artifact),
        ("responder.releases", config.responder.releases),
        ("api_keys.file", config.api_keys.file),
        *(("responder.publish_roots", root) for root in config.responder.publish_roots),
    ]
    if "adapters" in config.responder.model_fields_set:
        named.append(("responder.adapters", config.responder.adapters))
    return [
        f"{field} is {path}: expected a path below {', '.join(IN_CLUSTER)}"
        for field, path in named
        if path is not None and not str(path).startswith(IN_CLUSTER)
    ]
