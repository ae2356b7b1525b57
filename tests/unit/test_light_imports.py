"""What reads a manifest or a configuration must start fast: it never loads a framework."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import models

HEAVY = {"torch", "transformers", "ray", "vllm", "datasets", "sklearn"}
INT8 = {"models.detector.int8.model", "models.detector.int8.classifier", "models.detector.int8.convert", "models.detector.int8.calibration"}
NEED_TORCH = {
    "models.detector.transformer",
    "models.weights.gguf",
    "models.detector.harm_probe",
    "models.detector.shieldgemma",
    "models.detector.base",
    *INT8,
}


def loaded_after(modules: list[str]) -> set[str]:
    """Top-level packages that a new interpreter has loaded once it has imported `modules`."""
    code = f"import json, sys\nimport {', '.join(modules)}\nprint(json.dumps([name for name in sys.modules if '.' not in name]))"
    root = Path(models.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("package", ["models", "serve"])
def test_no_framework_is_loaded(package: str) -> None:
    contracts = [module.name for module in pkgutil.iter_modules(models.__path__, "models.") if module.name not in NEED_TORCH]
    chosen = {"models": contracts, "serve": ["serve.config", "serve.responder.voice", "serve.capacity"]}[package]
    loaded = loaded_after(chosen)
    assert package in loaded
    assert loaded & HEAVY == set()
