"""Start and stop of the cluster: one head with the proxy, and several workers."""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil

from load.chaos.cluster import HOST, WORKER_CPUS, Cluster
from load.harness.ports import free_port
from serve.cluster.ray_compat import set_http_environment, set_ray_environment
from serve.config import ServeConfig

WORKERS = 3  # one more than replicas of a deployment, for when a node is removed
EXIT_TIMEOUT_S = 10.0
SERVE_LOGGING = {"log_level": "WARNING", "enable_access_log": False}


@asynccontextmanager
async def run_cluster(config: ServeConfig) -> AsyncIterator[Cluster]:
    """Run the graph on a cluster that looks like production; no process is left behind."""
    folder = tempfile.mkdtemp(prefix="fye-")
    # Both before Ray is imported.
    set_ray_environment()
    set_http_environment(config.http, Path(folder), free_port())
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster as Nodes

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    port = free_port()
    before = set(psutil.Process().children(recursive=True))
    async with AsyncExitStack() as started:
        started.callback(shutil.rmtree, folder, ignore_errors=True)
        started.callback(kill_leftovers, before)
        head = {"num_cpus": 0, "include_dashboard": False}
        nodes = Nodes(initialize_head=True, head_node_args=head)
        started.callback(nodes.shutdown)
        for _ in range(WORKERS):
            nodes.add_node(num_cpus=WORKER_CPUS)
        ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
        # Not before Ray has started: `serve.shutdown` would connect to the cluster of RAY_ADDRESS.
        started.callback(ray.shutdown)
        started.push_async_callback(asyncio.to_thread, serve.shutdown)
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": HOST, "port": port},
            logging_config=SERVE_LOGGING,
        )
        cluster = Cluster(nodes, config, port)
        await cluster.deploy(config)
        yield cluster


def kill_leftovers(before: set[psutil.Process]) -> None:
    """Kill new children that outlive their node, such as one stopped by SIGSTOP."""
    started = set(psutil.Process().children(recursive=True)) - before
    _, alive = psutil.wait_procs(started, timeout=EXIT_TIMEOUT_S)
    for process in alive:
        process.kill()
