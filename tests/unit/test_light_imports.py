"""Import cost: modules that read manifests or configuration load no heavy framework."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import models

HEAVY = {"torch", "transformers", "ray", "vllm", "datasets", "sklearn"}
NEED_TORCH = {
    "models.attention",
    "models.critic",
    "models.detector.base",
    "models.detector.bert",
    "models.detector.factory",
    "models.detector.int8.activations",
    "models.detector.int8.calibration",
    "models.detector.int8.classifier",
    "models.detector.int8.convert",
    "models.detector.int8.layers",
    "models.detector.int8.model",
    "models.detector.int8.packing",
    "models.detector.shieldgemma",
    "models.detector.transformer",
    "models.encoder.bert",
    "models.encoder.rows",
    "models.machine.precision",
    "models.safety.classifier",
    "models.safety.pooling",
    "models.store.blend",
    "models.weights.gguf",
}
MODELS = {module.name for module in pkgutil.walk_packages(models.__path__, "models.")}
LIGHT = {
    "models": sorted(MODELS - NEED_TORCH),
    "serve": ["serve.config", "serve.responder.voice", "serve.capacity"],
}


def loaded_packages(modules: list[str]) -> set[str]:
    """Return the top-level packages that a new interpreter loads to import `modules`."""
    code = (
        f"import json, sys\nimport {', '.join(modules)}\n"
        "print(json.dumps([name for name in sys.modules if '.' not in name]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(models.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_list_of_torch_modules_is_current() -> None:
    assert NEED_TORCH <= MODELS


@pytest.mark.parametrize("package", LIGHT)
def test_light_modules_load_no_framework(package: str) -> None:
    loaded = loaded_packages(LIGHT[package])
    assert package in loaded
    assert loaded & HEAVY == set()
