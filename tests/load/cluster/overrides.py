"""What differs from the shipped manifest, because this is one machine without a GPU.

Everything else is the manifest's: the parameters of `ray start`, variables, ports, paths, resources
by which Ray places replicas, and the Serve config.
"""

import hashlib
from pathlib import Path
from typing import Any

import yaml

from load.cluster.pods import REPOSITORY

KEY = "fye-cluster-client"
SECRETS = {
    "api-keys": "[[keys]]\nname = 'client'\nscopes = ['respond', 'detect']\n"
    f"sha256 = '{hashlib.sha256(KEY.encode()).hexdigest()}'\n",
    "valkey-password": "fye-valkey",
}
HEADERS = {"authorization": f"Bearer {KEY}"}
TOKEN_S = 0.12  # of the scripted engine: a reply takes two to three seconds
# Not the image's, but this checkout; the environment here may have another one installed.
VARIABLES = {"FYE_ARTIFACTS_URL": "/source", "PYTHONPATH": "/app", "OMP_NUM_THREADS": "1"}
# Ray takes a third of the machine's memory for objects, and the pods share one machine.
RAY_START = {"object-store-memory": str(100 * 2**20)}


def volumes(folder: Path, pod: str) -> dict[str, Path]:
    """Return the volumes of a pod: those of the manifest, and the adapters to copy."""
    return {
        "/cache": folder / "cache",
        "/run/fye-haproxy": folder / pod / "haproxy",
        "/tmp/ray": folder / pod / "ray",  # noqa: S108 (in the pod)
        "/artifacts": folder / pod / "artifacts",
        "/source/personas-gemma-2-2b": REPOSITORY / "models" / "artifacts" / "adapters",
    }


def serve_config(text: str) -> dict[str, Any]:
    """Return the Serve config with scripted models, which need no GPU and no weights."""
    document: dict[str, Any] = yaml.safe_load(text)
    for application in document["applications"]:
        arguments = application["args"]
        arguments["detector"]["kind"] = "scripted"
        arguments["responder"] |= {"kind": "scripted", "scripted": {"token_s": TOKEN_S}}
        arguments["responder"]["hardware"]["device"] = "cpu"
    return document
