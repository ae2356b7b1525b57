"""Pods: processes with a network, files and process ids of their own, as a container has them.

A pod sees the system's folders, this repository at /app and its environment at /opt/venv, as the
image has them. All its other folders are empty, or volumes.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from load.cluster.namespaces import (
    UNSHARE,
    die_with_parent,
    make_network,
    remove_network,
    write_executable,
)

REPOSITORY = Path(__file__).parents[3]
VENV = Path(sys.prefix).resolve()
PODS = Path("/run/pods")
SYSTEM = ("bin", "sbin", "lib", "lib64", "usr", "etc", "sys", "dev")
PATH = "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHARED_MEMORY = "2g"
COMMANDS = {"ray": "ray.scripts.scripts", "fye-haproxy": "serve.proxy.haproxy"}
SCRIPT = "#!/opt/venv/bin/python\nimport sys\nfrom {module} import main\n\nsys.exit(main())\n"


@dataclass
class Pod:
    """A pod that may run.

    Attributes:
        name: host name, and the name of its network.
        address: IPv4 address.
        volumes: folder in the pod -> folder of the machine.
        hosts: file of names, which stands in for the cluster's DNS.
        log: output of its commands.
    """

    name: str
    address: str
    volumes: Mapping[str, Path]
    hosts: Path
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    _output: "IO[bytes] | None" = field(default=None, repr=False)

    def start(self, command: str, environment: Mapping[str, str]) -> None:
        """Start a shell command as the pod's first process. The pod ends with it."""
        make_network(self.name, self.address)
        self._output = self.log.open("ab")
        script = "\n".join(
            [*self._prepare(), f"exec chroot {self.root} /bin/bash -c {shlex.quote(command)}"]
        )
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *UNSHARE, "sh", "-ec", script],
            env={"PATH": PATH, "HOME": "/home/fye", "LANG": "C.UTF-8", **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            preexec_fn=die_with_parent,
        )

    def kill(self) -> None:
        """Kill every process of the pod at once, and take its network away."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self._output:
            self._output.close()
        remove_network(self.name)
        self.process = None

    @property
    def root(self) -> Path:
        """Root folder of the pod, before it is entered."""
        return PODS / self.name

    def _prepare(self) -> Iterator[str]:
        """Yield shell commands that make the files of the pod, in its own namespace."""
        root = self.root
        root.mkdir(parents=True)
        yield f"mount -t tmpfs pod {root}"
        yield f"mkdir -p {root}/opt/venv/bin {root}/home/fye {root}/tmp {root}/run {root}/proc"  # noqa: S108
        for name in SYSTEM:
            folder = Path("/", name)
            if folder.is_symlink():
                yield f"ln -s {os.readlink(folder)} {root}/{name}"
            elif folder.exists():
                yield from _bind(folder, root / name)
        yield f"mount -t proc proc {root}/proc"
        yield f"mount -t tmpfs -o size={SHARED_MEMORY} shm {root}/dev/shm"  # noqa: S108
        yield f"mount --bind {self.hosts} {root}/etc/hosts"
        yield f"hostname {self.name}"
        yield from _bind(Path(sys.base_prefix), Path(f"{root}{sys.base_prefix}"))
        yield from _bind(REPOSITORY, root / "app")
        yield from _virtual_environment(root / "opt" / "venv")
        for inside, folder in self.volumes.items():
            folder.mkdir(parents=True, exist_ok=True)
            yield from _bind(folder, Path(f"{root}{inside}"))


def _bind(folder: Path, target: Path) -> Iterator[str]:
    yield f"mkdir -p {shlex.quote(str(target))}"
    yield f"mount --rbind {shlex.quote(str(folder))} {shlex.quote(str(target))}"


def _virtual_environment(target: Path) -> Iterator[str]:
    """Yield commands that make /opt/venv of the image: these packages, with commands of its own."""
    commands = PODS / "bin"
    for name, module in COMMANDS.items():
        write_executable(commands / name, SCRIPT.format(module=module))
    yield f"cp {VENV}/pyvenv.cfg {target}"
    yield from _bind(VENV / "lib", target / "lib")
    yield f"cp {commands}/* {target}/bin"
    for name in ("python", "python3"):
        yield f"ln -s {Path(sys.executable).resolve()} {target}/bin/{name}"
