"""Files of a run's folder: recipe, environment, data hashes, metrics and the loss curve.

They are enough to read the run and to repeat it.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from pydantic import ValidationError

from models.machine.precision import device_name
from training.errors import RecipeError
from training.recipe import AnyRecipe
from training.runs.machine import is_main_process

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "accelerate",
    "unsloth",
    "ray",
    "tokenizers",
    "safetensors",
)
ROOT = Path(__file__).parents[2]
RECIPE_FILE = "recipe.json"
RESULTS_FILE = "metrics.json"


def open_run(
    run: Path,
    recipe: AnyRecipe,
    data_hashes: dict[str, str],
) -> None:
    """Write recipe, data hashes and environment into a new or resumed run.

    Of several processes that train together, only that of rank 0 writes.
    Raises RecipeError if `run` was started with another recipe or other data.
    """
    run.mkdir(parents=True, exist_ok=True)
    record = {"recipe": recipe.model_dump(mode="json"), "data_sha256": data_hashes}
    file = run / RECIPE_FILE
    if file.exists() and not _is_same_run(json.loads(file.read_text("utf-8")), recipe, data_hashes):
        raise RecipeError(
            f"cannot resume {run}: it was started with another recipe or other data; "
            "choose another --run, or delete the folder"
        )
    if is_main_process():
        _write_json(file, record)
        _write_json(run / "environment.json", environment())


def _is_same_run(
    stored: dict[str, Any],
    recipe: AnyRecipe,
    data_hashes: dict[str, str],
) -> bool:
    """Compare a stored record with a run."""
    try:
        started_with = type(recipe).of_record(stored["recipe"])
    except ValidationError:
        return False
    return started_with == recipe and stored["data_sha256"] == data_hashes


def environment() -> dict[str, object]:
    """Return the versions, the machine and the revision that can affect a result or a time."""
    return {
        "python": platform.python_version(),
        "packages": _package_versions(),
        "machine": {
            "device": device_name(),
            "cpus": os.cpu_count(),
            "architecture": platform.machine(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
        "git_revision": git_revision(),
    }


def _package_versions() -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def git_revision() -> str:
    """Return the commit, with `+changes` if the working tree differs from it.

    It is `unknown` outside a repository, or without git.
    """
    try:
        commit = _git("rev-parse", "HEAD")
        changes = _git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if changes else "")


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def write_results(run: Path, history: list[dict[str, float]], metrics: dict[str, float]) -> None:
    """Write the loss curve of a finished run, and last the metrics, which mark it as finished.

    `history` is the trainer's log.
    """
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for key, label in (("loss", "training"), ("eval_loss", "held out")):
        points = [(row["step"], row[key]) for row in history if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=label)
    axes.set(xlabel="step", ylabel="loss")
    if axes.lines:
        axes.legend()
    figure.savefig(run / "loss.png", dpi=120)
    plt.close(figure)
    _write_json(run / RESULTS_FILE, {"metrics": metrics, "history": history})


def _write_json(file: Path, content: object) -> None:
    """Write a file that is either absent or complete, also after an interruption."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    new.replace(file)
