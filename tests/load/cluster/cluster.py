"""Ray cluster of a RayService on this machine: Valkey, a head, and pods of each worker group."""

import asyncio
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from load.chaos.cluster import wait_until
from load.cluster import overrides, valkey
from load.cluster.entry import Entry
from load.cluster.kuberay import HEAD, HEAD_HOST, RayService
from load.cluster.namespaces import SUBNET, ClusterError
from load.cluster.pods import Pod

APP = "face-your-emotions"
DASHBOARD_PORT = 8265
FIRST_HOST = 10
LONGEST_NAME = 15  # of a network device
REQUEST_S = 60
MOST_REPLACED = 8
LOG_TAIL = 2000
VALKEY = "valkey"
REPLICA = "ray::ServeReplica:"
APPLICATIONS = "/api/serve/applications/"


class LocalCluster:
    """Pods that run. Pods start and die in threads; everything else is of one event loop."""

    def __init__(self, service: RayService, entry: Entry, folder: Path) -> None:
        self.service = service
        self.entry = entry
        self.pods: dict[str, tuple[str, Pod]] = {}  # name -> group and pod
        self.replaced = 0  # pods that ended by themselves
        self._folder = folder
        self._names: dict[str, str] = {"localhost": "127.0.0.1"}
        self._started = 0

    async def start(self) -> None:
        """Start every pod, in the order in which the operator lets them start."""
        await self._start_valkey()
        await self.add(HEAD)
        await wait_until(self.is_head_up)
        for group, count in self.service.groups.items():
            for _ in range(count):
                await self.add(group)

    async def deploy(self) -> None:
        """Deploy the Serve config through the dashboard, again until it answers, as the operator.

        Raises:
            ClusterError: Ray refuses the config.
        """
        config = overrides.serve_config(self.service.serve_config)

        async def is_accepted() -> bool:
            await self.replace_ended()
            try:
                async with self._client() as client:
                    reply = await client.put(self._url(APPLICATIONS), json=config)
            except httpx.HTTPError:
                return False
            if reply.status_code != httpx.codes.OK:
                raise ClusterError(f"Ray refused the Serve config: {reply.text}")
            return True

        await wait_until(is_accepted)

    async def add(self, group: str) -> str:
        """Start a pod of a group, and return its name."""
        pod = self._new_pod(group)
        service = self.service
        environment = service.environment(group, pod.name) | overrides.VARIABLES
        # An init container has variables of its own, and runs to its end before the pod starts.
        own = service.init_environment(group) | overrides.VARIABLES
        first = [
            f"env {_assignments(own)} {shlex.join(command)}"
            for command in service.init_commands(group)
        ]
        start = service.start_command(group, overrides.RAY_START)
        self.pods[pod.name] = (group, pod)
        if group == HEAD:
            self._name(HEAD_HOST, pod.address)
        await asyncio.to_thread(pod.start, " && ".join([*first, f"{{ {start}; }}"]), environment)
        if group != HEAD:
            self.entry.add(pod.name, pod.address, service.readiness(group))
        return pod.name

    async def kill(self, name: str) -> None:
        """Kill a pod with everything in it, as `kill -9` or the end of its machine does."""
        group, pod = self.pods.pop(name)
        await asyncio.to_thread(pod.kill)
        if group != HEAD:
            self.entry.remove(name)

    def pod_of(self, group: str) -> str:
        """Return the name of the first pod of a group."""
        return next(name for name, (found, _) in self.pods.items() if found == group)

    def replicas(self, deployment: str = "") -> dict[int, psutil.Process]:
        """Return the processes of a deployment's replicas, or of all replicas, by process id."""
        prefix = f"{REPLICA}{APP}:{deployment}"
        return {
            process.pid: process for process, line in _command_lines() if line.startswith(prefix)
        }

    async def is_head_up(self) -> bool:
        """Return whether the GCS and the dashboard answer."""
        await self.replace_ended()
        with suppress(httpx.HTTPError):
            async with self._client() as client:
                reply = await client.get(self._url("/api/gcs_healthz"))
            return reply.status_code == httpx.codes.OK
        return False

    async def is_healthy(self) -> bool:
        """Return whether deployments and proxies are healthy, and all worker pods ready."""
        await self.replace_ended()
        return not await self.unhealthy() and self.entry.are_ready(len(self.pods) - 1)

    async def unhealthy(self) -> list[str]:
        """Return what is not healthy by Serve's own words."""
        with suppress(httpx.HTTPError):
            async with self._client() as client:
                reply = await client.get(self._url(APPLICATIONS))
            if reply.status_code == httpx.codes.OK:
                return list(unhealthy_parts(reply.json(), len(self.pods)))
        return ["the dashboard does not answer"]

    async def replace_ended(self) -> None:
        """Replace pods that have ended by themselves, as the operator does.

        Ray ends if it has not started within 30 s, which happens on a busy machine.

        Raises:
            ClusterError: too many pods have ended.
        """
        for name, (group, pod) in list(self.pods.items()):
            if pod.process is None or pod.process.poll() is None:
                continue
            self.replaced += 1
            if self.replaced > MOST_REPLACED:
                tail = pod.log.read_text("utf-8", "replace")[-LOG_TAIL:]
                raise ClusterError(f"too many pods ended; the log of {name} ends with:\n{tail}")
            await self.kill(name)
            await self.add(group)

    async def _start_valkey(self) -> None:
        server = valkey.find_server()
        pod = self._new_pod(VALKEY)
        pod.volumes = {"/data": self._folder / "valkey", "/server": server.parent}
        password = overrides.SECRETS["valkey-password"]
        command = f"exec /server/{server.name} {valkey.ARGUMENTS}"
        await asyncio.to_thread(pod.start, command, {"VALKEY_PASSWORD": password})
        self._name(VALKEY, pod.address)

    def _new_pod(self, group: str) -> Pod:
        self._started += 1
        name = f"{group}-{self._started}"[:LONGEST_NAME]
        address = f"{SUBNET}.{FIRST_HOST + self._started}"
        self._name(name, address)
        folder = self._folder
        volumes = overrides.volumes(folder, name)
        return Pod(name, address, volumes, folder / "hosts", folder / f"{name}.log")

    def _name(self, name: str, address: str) -> None:
        """Give a name an address. Pods have the file mounted, so it is written in place."""
        self._names[name] = address
        lines = [f"{found} {each}\n" for each, found in self._names.items()]
        (self._folder / "hosts").write_text("".join(lines), "utf-8")

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=REQUEST_S, trust_env=False)

    def _url(self, path: str) -> str:
        return f"http://{self._names[HEAD_HOST]}:{DASHBOARD_PORT}{path}"


def _assignments(variables: Mapping[str, str]) -> str:
    return shlex.join(f"{name}={value}" for name, value in variables.items())


def _command_lines() -> Iterator[tuple[psutil.Process, str]]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield process, " ".join(process.cmdline())


def unhealthy_parts(details: dict[str, Any], nodes: int) -> Iterator[str]:
    """Yield what is not healthy in the reply of Serve's REST API."""
    application = details["applications"].get(APP)
    if application is None:
        yield "there is no application"
        return
    if application["status"] != "RUNNING":
        yield f"the application is {application['status']}: {application['message']}"
    for name, deployment in application["deployments"].items():
        if deployment["status"] != "HEALTHY":
            yield f"{name} is {deployment['status']}: {deployment['message']}"
    proxies = [each["status"] for each in details["proxies"].values()]
    if proxies != ["HEALTHY"] * nodes:
        yield f"the proxies are {proxies}, expected {nodes} that are healthy"
