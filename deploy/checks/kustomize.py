"""Builds the overlays with kustomize, as `kubectl apply -k` does."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
KUBERAY = Path(__file__).parents[1] / "kuberay"
OVERLAYS = sorted(path.name for path in (KUBERAY / "overlays").iterdir() if path.is_dir())
COMMANDS = (("kubectl", "kustomize"), ("kustomize", "build"))
HASH = re.compile(r"-[bcdfghkmt2-9]{10}$")  # of the content, at the end of a generated name
MISSING = (
    "neither kubectl nor kustomize is installed; https://kubectl.docs.kubernetes.io/installation"
)


class BuildFailed(Exception):
    """Kustomize is missing, or refuses a folder."""


def command() -> tuple[str, ...] | None:
    """Return the command that builds a folder, without the folder; None if there is none."""
    return next((found for found in COMMANDS if shutil.which(found[0])), None)


def build(folder: Path) -> list[Manifest]:
    """Return the manifests of a folder.

    Raises:
        BuildFailed: kustomize is missing, or refuses the folder.
    """
    found = command()
    if found is None:
        raise BuildFailed(MISSING)
    done = subprocess.run([*found, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailed(f"{folder}: {done.stderr.strip()}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def overlay(name: str) -> list[Manifest]:
    """Return the manifests of an overlay. Raises BuildFailed."""
    return build(KUBERAY / "overlays" / name)


def plain_name(name: str) -> str:
    """Return the name of a ConfigMap without the hash of its content."""
    return HASH.sub("", name)
