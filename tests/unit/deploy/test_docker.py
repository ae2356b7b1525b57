"""Dockerfiles are clean, pin what they install, and run without root."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.checks import serve_config

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "deploy" / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
CONFIGS = sorted(DOCKER.glob("*.yaml"))
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
