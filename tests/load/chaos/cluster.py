"""Graph on a Ray cluster of several nodes on this machine, for fault injection.

The head has no CPUs: it runs the controller and the HTTP proxy. Every replica runs on a worker,
which a test may remove.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from load.harness.deployments import CONTROLLER, DETECTOR, RESPONDER
from serve.cli.local_cluster import APP_NAME
from serve.config import ServeConfig

WORKER_CPUS = 16  # more than all replicas need
HOST = "127.0.0.1"
# Deployment -> number of replicas that the configuration asks for.
DEPLOYMENTS: dict[str, Callable[[ServeConfig], int]] = {
    RESPONDER: lambda config: config.responder.replicas.minimum,
    DETECTOR: lambda config: config.detector.replicas.minimum,
    CONTROLLER: lambda config: 1,
}
MISSED_CHECK = re.compile(r"Didn't receive health check response|Health check for .* failed")
POLL_S = 0.2
STATS_TIMEOUT_S = 10


class Cluster:
    """Running graph. Calls that ask Ray block for milliseconds, so they run in a thread."""

    def __init__(self, nodes: Any, config: ServeConfig, port: int) -> None:
        self._nodes = nodes  # ray.cluster_utils.Cluster
        self.config = config
        self.url = f"http://{HOST}:{port}"
        self._responders: Any = None

    async def deploy(self, config: ServeConfig) -> None:
        """Deploy a configuration and wait until every replica of the previous one is gone."""
        from ray import serve
        from ray.serve.api import RunTarget

        from serve.app import build

        self.config = config
        await asyncio.to_thread(serve.run_many, [RunTarget(build(config), APP_NAME)])
        await self.wait_healthy()

    async def wait_healthy(self) -> None:
        """Wait until every deployment is healthy and has exactly the replicas it should have."""
        await wait_until(partial(asyncio.to_thread, self._is_healthy))

    def _is_healthy(self) -> bool:
        from ray import serve

        application = serve.status().applications.get(APP_NAME)
        if application is None or application.status != "RUNNING":
            return False
        for name, count in DEPLOYMENTS.items():
            deployment = application.deployments[name]
            running = {"RUNNING": count(self.config)}
            if deployment.status != "HEALTHY" or deployment.replica_states != running:
                return False
        return True

    def replicas(self, deployment: str) -> dict[int, psutil.Process]:
        """List the live processes of a deployment by process id."""
        processes = [
            process
            for node in self._nodes.list_all_nodes()
            for process in replicas_on(node, deployment)
        ]
        return {process.pid: process for process in processes}

    def worker_with(self, deployment: str) -> Any:
        """Find a worker node that runs a replica of a deployment."""
        return next(node for node in self._nodes.worker_nodes if replicas_on(node, deployment))

    async def remove(self, node: Any) -> None:
        """Remove a node without a shutdown, like a machine that loses power."""
        await asyncio.to_thread(self._nodes.remove_node, node, allow_graceful=False)

    def add_worker(self) -> None:
        """Add a worker node.

        It blocks for about a second: Ray sets a signal handler for each node, which only works in
        the main thread.
        """
        self._nodes.add_node(num_cpus=WORKER_CPUS)

    def missed_health_checks(self) -> int:
        """Count the replica health checks that failed or timed out, from the controller's logs."""
        logs = Path(self._nodes.head_node.get_logs_dir_path()) / "serve"
        return sum(
            len(MISSED_CHECK.findall(log.read_text("utf-8")))
            for log in logs.glob("controller_*.log")
        )

    async def promote(self, name: str) -> None:
        """Promote an adapter version by the controller itself: HTTP may reach a paused replica."""
        from ray import serve

        await serve.get_deployment_handle(CONTROLLER, APP_NAME).promote.remote(name)

    async def is_busy(self) -> bool:
        """Check whether a responder replica generates a reply."""
        return not await self.is_idle()

    async def is_idle(self) -> bool:
        """Check whether no responder replica generates a reply."""
        from ray import serve
        from ray.exceptions import RayError

        if self._responders is None:
            self._responders = serve.get_deployment_handle(RESPONDER, APP_NAME)
        try:
            replies = self._responders.broadcast("stats")
            stats = await replies.results_async(timeout_s=STATS_TIMEOUT_S)
        except RayError:  # a replica has just died
            return False
        return not any(each.running for each in stats)


async def wait_until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Poll a condition until it holds. The caller sets a time limit."""
    while True:
        if await holds():
            return
        await asyncio.sleep(POLL_S)


def replicas_on(node: Any, deployment: str) -> list[psutil.Process]:
    """List the processes of a deployment that a node's raylet has started."""
    prefix = f"ray::ServeReplica:{APP_NAME}:{deployment}"
    try:
        children = psutil.Process(node.all_processes["raylet"][0].process.pid).children()
        return [child for child in children if " ".join(child.cmdline()).startswith(prefix)]
    except psutil.NoSuchProcess:
        return []
