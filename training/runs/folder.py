"""What a run leaves behind, so that it can be read and repeated: recipe, environment, revision, data hashes, metrics, loss curve."""

import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import torch

from training.errors import RecipeError
from training.recipe import DetectorRecipe, PersonaRecipe

PACKAGES = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "unsloth", "ray", "tokenizers", "safetensors")
ROOT = Path(__file__).parents[2]
RECIPE_FILE = "recipe.json"


def open_run(run: Path, recipe: DetectorRecipe | PersonaRecipe, data_hashes: dict[str, str]) -> None:
    """Writes what decides the run. Raises RecipeError where `run` was begun with another recipe or other data: it can't be resumed."""
    run.mkdir(parents=True, exist_ok=True)
    record = {"recipe": recipe.model_dump(mode="json"), "data_sha256": data_hashes}
    file = run / RECIPE_FILE
    if file.exists() and json.loads(file.read_text("utf-8")) != record:
        raise RecipeError(f"{run} was begun with another recipe or other data: give another --run, or remove it")
    file.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    (run / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n", "utf-8")


def environment() -> dict[str, object]:
    """Versions and machine, as far as they can decide a result or a time."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    capability = torch.backends.cpu.get_cpu_capability()
    machine = {"device": device, "cpus": os.cpu_count(), "architecture": platform.machine(), "cpu_capability": capability}
    return {"python": platform.python_version(), "packages": versions, "machine": machine, "git_revision": git_revision()}


def git_revision() -> str:
    """The commit, with `+changes` where the working tree differs from it; `unknown` outside a repository."""
    try:
        commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607


def write_results(run: Path, history: list[dict[str, float]], metrics: dict[str, float]) -> None:
    """Writes the numbers and the loss curve of a finished run. `history` is the trainer's log."""
    (run / "metrics.json").write_text(json.dumps({"metrics": metrics, "history": history}, indent=2) + "\n", "utf-8")
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for key, name in (("loss", "training"), ("eval_loss", "held out")):
        points = [(row["step"], row[key]) for row in history if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=name)
    axes.set(xlabel="step", ylabel="loss")
    if axes.lines:
        axes.legend()
    figure.savefig(run / "loss.png", dpi=120)
    plt.close(figure)
