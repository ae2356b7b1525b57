"""A Ray cluster of several nodes on this machine, with the graph on it, and what is needed to hurt it. Ended on the way out.

The head has no CPUs: it holds the controller and the HTTP proxy, and every replica that matters is on a worker, which may be removed.
"""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from load.harness.ports import free_port
from serve.cli.local_cluster import APP_NAME
from serve.config import ServeConfig
from serve.ray_compat import set_ray_environment

WORKERS = 2
WORKER_CPUS = 16  # each can hold all replicas, so that what ran on a removed node has a place
HOST = "127.0.0.1"
STAGES = ("Ingress", "Detector", "Responder", "AdapterController")
GONE_S = 10.0
MISSED = re.compile(r"Didn't receive health check response|Health check for .* failed")


class Cluster:
    """The running graph. What asks Ray blocks for some milliseconds and is done in a thread, beside the load."""

    def __init__(self, nodes: Any, config: ServeConfig, port: int) -> None:
        self._nodes, self.config, self.url = nodes, config, f"http://{HOST}:{port}"
        self._responders: Any = None

    async def deploy(self, config: ServeConfig) -> None:
        """Has the application be this; returns once it is, with every replica of the one before drained and gone."""
        from ray import serve
        from ray.serve.api import RunTarget

        from serve.app import build

        self.config = config
        await asyncio.to_thread(serve.run_many, [RunTarget(build(config), APP_NAME)])
        await self.whole()

    async def whole(self) -> None:
        """Returns when every stage is healthy, has the replicas that it should have, and no others."""
        await until(partial(asyncio.to_thread, self._is_whole))

    def _is_whole(self) -> bool:
        from ray import serve

        application = serve.status().applications.get(APP_NAME)
        if application is None or application.status != "RUNNING":
            return False
        wanted = {"AdapterController": 1} | {name: getattr(self.config, name.lower()).replicas.minimum for name in STAGES[:3]}
        stages = application.deployments
        return all(stages[name].status == "HEALTHY" and stages[name].replica_states == {"RUNNING": wanted[name]} for name in STAGES)

    def replicas(self, stage: str) -> dict[int, psutil.Process]:
        """The live processes of a stage, by pid."""
        return {replica.pid: replica for node in self._nodes.list_all_nodes() for replica in replicas_on(node, stage)}

    def worker_with(self, stage: str) -> Any:
        """A worker node that has a replica of the stage."""
        return next(node for node in self._nodes.worker_nodes if replicas_on(node, stage))

    async def remove(self, node: Any) -> None:
        """As a machine that loses its power: nobody is told."""
        await asyncio.to_thread(self._nodes.remove_node, node, allow_graceful=False)

    def add_worker(self) -> None:
        """Blocks for about a second: Ray sets a signal handler for each node, which can be done in the main thread alone."""
        self._nodes.add_node(num_cpus=WORKER_CPUS)

    def missed_health_checks(self) -> int:
        """Since the beginning, as Serve's controller writes them down: checks of replicas that failed or did not come back in time."""
        logs = Path(self._nodes.head_node.get_logs_dir_path()) / "serve"
        return sum(len(MISSED.findall(log.read_text("utf-8"))) for log in logs.glob("controller_*.log"))

    async def is_busy(self) -> bool:
        return not await self.is_idle()

    async def is_idle(self) -> bool:
        """No responder replica generates anything."""
        from ray import serve
        from ray.exceptions import RayError

        self._responders = self._responders or serve.get_deployment_handle("Responder", APP_NAME)
        try:
            stats = await self._responders.broadcast("stats").results_async(timeout_s=10)
        except RayError:  # one that has just died
            return False
        return not any(each.running for each in stats)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it holds. Whoever calls has a limit."""
    while True:
        if await holds():
            return
        await asyncio.sleep(0.2)


def replicas_on(node: Any, stage: str) -> list[psutil.Process]:
    """The processes of a stage that a node's raylet has started."""
    try:
        children = psutil.Process(node.all_processes["raylet"][0].process.pid).children()
        return [child for child in children if " ".join(child.cmdline()).startswith(f"ray::ServeReplica:{APP_NAME}:{stage}")]
    except psutil.NoSuchProcess:
        return []


@asynccontextmanager
async def serving_on_nodes(config: ServeConfig) -> AsyncIterator[Cluster]:
    """Nodes as production has them, one proxy on the head, and the application; nothing of it is left behind."""
    set_ray_environment()  # before Ray is imported
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster as Nodes

    from serve.proxy.middleware import INGRESS_VARIABLE

    os.environ[INGRESS_VARIABLE] = config.ingress.model_dump_json()
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    port, before = free_port(), set(psutil.Process().children(recursive=True))
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(WORKERS):
            nodes.add_node(num_cpus=WORKER_CPUS)
        ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
        options = {"host": HOST, "port": port}
        serve.start(proxy_location="HeadOnly", http_options=options, logging_config={"log_level": "WARNING", "enable_access_log": False})
        cluster = Cluster(nodes, config, port)
        await cluster.deploy(config)
        yield cluster
    finally:
        await asyncio.to_thread(serve.shutdown)
        ray.shutdown()
        nodes.shutdown()
        end(set(psutil.Process().children(recursive=True)) - before)


def end(processes: set[psutil.Process]) -> None:
    """What outlived its node, such as a process that was stopped."""
    for process in psutil.wait_procs(processes, timeout=GONE_S)[1]:
        process.kill()
