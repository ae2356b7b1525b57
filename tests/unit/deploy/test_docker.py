"""Dockerfiles are clean, pin what they install, and run without root."""

import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from deploy.checks import serve_config

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
CONFIGS = sorted(DOCKER.glob("*.yaml"))
# Libraries of python:3.11-slim-bookworm, whose Python and package manager need them.
IN_SLIM = {
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "libstdc++.so.6",
    "libz.so.1",
    "linux-vdso.so.1",
}
PACKAGES = {"libnuma.so.1": "libnuma1"}  # Debian's packages of the others
WHEELS = ("libc10", "libgomp", "libshm", "libtorch")  # files of torch
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_there_are_three_images() -> None:
    assert [file.stem for file in FILES] == ["serve-cpu", "serve-gpu", "train"]


@each_file
def test_hadolint_finds_nothing(file: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@each_file
def test_an_image_is_built_in_two_stages_from_hashes_and_runs_without_root(file: Path) -> None:
    text = file.read_text("utf-8")
    [requirements] = re.findall(r"--require-hashes --requirement (\S+)", text)
    assert (ROOT / requirements).is_file()
    build, final = re.split(r"^FROM .*$", text, flags=re.MULTILINE)[1:]
    assert "pip install" not in final
    assert "USER 10001:10001" in final
    assert build.count("pip install") == build.count("--no-deps")


@each_file
def test_a_secret_pip_conf_is_there_wherever_a_build_installs(file: Path) -> None:
    steps = re.findall(r"^RUN (?:.*\\\n)*.*", file.read_text("utf-8"), re.MULTILINE)
    installs = [step for step in steps if "pip install" in step]
    assert len(installs) == 2
    assert all("--mount=type=secret,id=pip,target=/etc/pip.conf" in step for step in installs)


@each_file
def test_an_image_holds_its_inventory(file: Path) -> None:
    _, final = re.split(r"^FROM .*$", file.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert "RUN python deploy/docker/sbom.py > sbom.cdx.json" in final


def test_the_inventory_names_python_its_packages_and_those_of_debian(tmp_path: Path) -> None:
    dpkg = tmp_path / "dpkg-query"
    dpkg.write_text("#!/bin/sh\nprintf 'libstdc++6\\t1:12.2-1\\tamd64\\n'\n")
    dpkg.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    command = [sys.executable, str(DOCKER / "sbom.py")]
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, check=True)
    document = json.loads(done.stdout)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    found = {each["purl"]: each for each in document["components"]}
    assert len(found) == len(document["components"])
    assert f"pkg:generic/python@{platform.python_version()}" in found
    pydantic = found[f"pkg:pypi/pydantic-core@{version('pydantic_core')}"]
    assert pydantic["licenses"] == [{"expression": "MIT"}]
    [debian] = [each for purl, each in found.items() if purl.startswith("pkg:deb/")]
    assert (debian["name"], debian["version"]) == ("libstdc++6", "1:12.2-1")
    assert "/libstdc%2B%2B6@1%3A12.2-1?arch=amd64&distro=" in debian["purl"]


def linked_libraries(package: str) -> set[str]:
    """Return the shared libraries that the wheel of a package links and does not bring along."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    files = [*folder.glob("*.so"), *(folder / "lib").glob("*.so")]
    done = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False)
    found = set(re.findall(r"^\t(\S+) ", done.stdout, re.MULTILINE))
    return {name for name in found if not name.startswith(("/", *WHEELS))}


@pytest.mark.skipif(not version("torch").endswith("+cpu"), reason="not the wheels of the image")
@pytest.mark.parametrize("package", ["vllm", "torch"])
def test_the_image_without_gpu_has_the_libraries_that_its_wheels_link(package: str) -> None:
    libraries = linked_libraries(package)
    assert "libc.so.6" in libraries
    _, final = re.split(
        r"^FROM .*$", (DOCKER / "serve-cpu.Dockerfile").read_text("utf-8"), flags=re.MULTILINE
    )[1:]
    for library in libraries - IN_SLIM:
        assert f" {PACKAGES[library]} " in final


@pytest.mark.parametrize(
    ("builder", "calls"),
    [
        ("docker", ["docker buildx build .*--push"]),
        ("podman", ["podman build ", "podman push registry/x:1"]),
        ("buildah", ["buildah build ", "buildah push registry/x:1"]),
    ],
)
@pytest.mark.parametrize("push", ["0", "1"])
def test_an_image_is_pushed_on_request(
    tmp_path: Path, builder: str, calls: list[str], push: str
) -> None:
    log = tmp_path / "log"
    program = tmp_path / builder
    program.write_text(f'#!/bin/sh\necho "{builder} $*" >> {log}\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    variables = os.environ | {"PATH": path, "BUILDER": builder, "PUSH": push}
    subprocess.run([DOCKER / "build", "serve-cpu", "registry/x:1"], env=variables, check=True)
    lines = log.read_text("utf-8").splitlines()
    if push == "1":
        assert len(lines) == len(calls)
        assert all(re.match(call, line) for call, line in zip(calls, lines, strict=True))
    else:
        assert len(lines) == 1
        assert re.match(calls[0].removesuffix(".*--push"), lines[0])
        assert "push" not in lines[0]


def test_a_builder_gets_the_pip_conf_as_a_secret_and_further_arguments(tmp_path: Path) -> None:
    program = tmp_path / "buildah"
    program.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/log\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    variables = os.environ | {"PATH": path, "BUILDER": "buildah", "PIP_CONF": "/etc/a.conf"}
    command = [str(DOCKER / "build"), "serve-cpu", "x:1", "--pull=never", "--network=host"]
    subprocess.run(command, env=variables, check=True)
    called = (tmp_path / "log").read_text("utf-8")
    assert called.endswith("--secret id=pip,src=/etc/a.conf --pull=never --network=host .\n")


def test_the_image_without_gpu_has_no_compiler() -> None:
    assert "gcc" not in (DOCKER / "serve-cpu.Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_a_config_of_an_image_is_valid_and_named_by_its_image(file: Path) -> None:
    assert serve_config.problems_of(file.read_text("utf-8")) == []
    dockerfile = file.with_suffix(".Dockerfile").read_text("utf-8")
    assert str(file.relative_to(ROOT)) in dockerfile


@each_file
def test_the_context_has_what_the_image_needs(file: Path) -> None:
    """Patterns of .dockerignore that begin with `!` let a path in."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").split("\n") if line}
    for needed in ("models", "serve", "training", "requirements", "pyproject.toml", "README.md"):
        assert needed in let_in
    assert "deploy/docker/sbom.py" in let_in
