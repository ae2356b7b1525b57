"""Placement of replicas: what deployments require against what pods offer to Ray."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import yaml

from deploy.checks.serve_config import parse
from serve.config import Replicas

STRAY = "require a resource that only worker groups without GPUs offer"
Resources = dict[str, float]


@dataclass(frozen=True, slots=True)
class Deployment:
    """Most replicas of a deployment, and what each requires: by `replicas`, and by Serve's options.

    Serve's options replace those of the code as a whole, so both have to agree.
    """

    name: str
    replicas: Replicas
    options: dict[str, Any] | None

    @property
    def required(self) -> Resources:
        """Resources of a replica by Ray's names, without those of which it requires nothing."""
        found = {"CPU": self.replicas.cpus, "GPU": self.replicas.gpus}
        found |= (self.options or {}).get("resources", {})
        return {name: amount for name, amount in found.items() if amount}


def problems_of(text: str, cluster: dict[str, Any]) -> list[str]:
    """Return deployments that do not fit into a RayCluster, or may take pods meant for others.

    Args:
        text: a Serve config that `serve_config` accepts.
        cluster: `rayClusterConfig` of a RayService.
    """
    groups = cluster["workerGroupSpecs"]
    fractions = [problem for group in groups for problem in _fractions(group)]
    if fractions:
        return fractions
    offers = {"head": _offer(cluster["headGroupSpec"])}
    offers |= {group["groupName"]: _offer(group) for group in groups}
    most = {group["groupName"]: int(group["maxReplicas"]) for group in groups}
    return [
        problem
        for deployment in _deployments(text)
        for rule in (_differing(deployment), _stray(deployment, offers))
        for problem in rule
    ] + [problem for each in _deployments(text) for problem in _fit(each, offers, most)]


def _deployments(text: str) -> Iterator[Deployment]:
    config = parse(text)
    given = yaml.safe_load(text)["applications"][0].get("deployments", [])
    options = {each["name"]: each.get("ray_actor_options") for each in given}
    parts = {
        "Detector": config.detector.replicas,
        "Responder": config.responder.replicas,
        "AdapterController": Replicas(cpus=0),
    }
    for name, replicas in parts.items():
        yield Deployment(name, replicas, options.get(name))


def _custom(group: dict[str, Any]) -> dict[str, Any]:
    """Return the resources of a group beyond CPUs and GPUs, read as Ray's autoscaler reads them."""
    quoted = group["rayStartParams"].get("resources", "'{}'")
    return dict(json.loads(quoted[1:-1].replace("\\", "")))


def _fractions(group: dict[str, Any]) -> Iterator[str]:
    for name, amount in _custom(group).items():
        if not isinstance(amount, int):
            yield (
                f"{group['groupName']}: {name} is {amount}; Ray's autoscaler stops unless it is a"
                " whole number"
            )


def _offer(group: dict[str, Any]) -> Resources:
    start = group["rayStartParams"]
    offered = {"CPU": float(start["num-cpus"]), "GPU": float(start.get("num-gpus", 0))}
    return offered | _custom(group)


def _per_pod(offered: Resources, required: Resources) -> float:
    """Return how many replicas fit into a pod."""
    fitting = (int(offered.get(name, 0) / amount + 1e-9) for name, amount in required.items())
    return min(fitting, default=inf)


def _differing(deployment: Deployment) -> Iterator[str]:
    if deployment.options is None:
        return
    told = (deployment.options.get("num_cpus", 0), deployment.options.get("num_gpus", 0))
    configured = (deployment.replicas.cpus, deployment.replicas.gpus)
    if told != configured:
        yield (
            f"{deployment.name}: ray_actor_options ask for {told[0]} CPUs and {told[1]} GPUs,"
            f" the configuration for {configured[0]} and {configured[1]}"
        )


def _stray(deployment: Deployment, offers: dict[str, Resources]) -> Iterator[str]:
    """Yield where replicas without GPUs fit and do not belong: the head has no /artifacts."""
    if deployment.replicas.gpus:
        return
    for pod, offered in offers.items():
        not_meant = pod == "head" or bool(offered["GPU"])
        if not_meant and _per_pod(offered, deployment.required):
            yield f"{deployment.name}: its replicas may run on {pod} pods; {STRAY}"


def _fit(
    deployment: Deployment, offers: dict[str, Resources], most: dict[str, int]
) -> Iterator[str]:
    room = sum(_per_pod(offers[group], deployment.required) * most[group] for group in most)
    if room < deployment.replicas.maximum:
        yield (
            f"{deployment.name}: {deployment.replicas.maximum} replicas are allowed, and the worker"
            f" groups have room for {room:.0f}"
        )
