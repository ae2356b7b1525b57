"""Prints a CycloneDX inventory of an image: Python, its packages and Debian's, with versions.

The Dockerfiles run it at the end of a build, inside the image and with nothing but Python.
"""

import json
import platform
import re
import shutil
import subprocess
from importlib.metadata import Distribution, distributions
from urllib.parse import quote

DPKG = ("dpkg-query", "--show", "--showformat=${Package}\t${Version}\t${Architecture}\n")


def inventory() -> dict[str, object]:
    """Return the document, without a time or serial number: equal images have equal inventories."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [_python(), *_python_packages(), *_debian_packages()],
    }


def _python() -> dict[str, object]:
    version = platform.python_version()
    return _component("python", version, f"pkg:generic/python@{version}")


def _python_packages() -> list[dict[str, object]]:
    found = {_normal(each.metadata["Name"]): each for each in distributions()}
    return [_python_package(name, found[name]) for name in sorted(found)]


def _normal(name: str) -> str:
    """Return the name of a Python package as package URLs spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _python_package(name: str, package: Distribution) -> dict[str, object]:
    component = _component(name, package.version, f"pkg:pypi/{name}@{_quoted(package.version)}")
    if "License-Expression" in package.metadata:
        component["licenses"] = [{"expression": package.metadata["License-Expression"]}]
    return component


def _debian_packages() -> list[dict[str, object]]:
    """Return no component where the base image is not made of Debian packages."""
    if shutil.which(DPKG[0]) is None:
        return []
    listed = subprocess.run(DPKG, capture_output=True, text=True, check=True).stdout
    return [_debian_package(*line.split("\t")) for line in sorted(listed.splitlines())]


def _debian_package(name: str, version: str, architecture: str) -> dict[str, object]:
    release = platform.freedesktop_os_release()
    distro = f"{release['ID']}-{release.get('VERSION_ID', 'unstable')}"
    place = f"pkg:deb/{release['ID']}/{_quoted(name)}@{_quoted(version)}"
    return _component(name, version, f"{place}?arch={architecture}&distro={distro}")


def _component(name: str, version: str, url: str) -> dict[str, object]:
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def _quoted(part: str) -> str:
    return quote(part, safe="")


if __name__ == "__main__":
    print(json.dumps(inventory(), indent=1))
