"""Training commands on tiny models: their artefacts load, and a killed run resumes."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.detector.transformer import TransformerClassifier
from models.hashing import weights_sha256
from models.manifest import load_adapter
from models.prompt import PROMPT_VERSION
from models.weights.cache import materialize
from support.tiny_models import tiny_bert, tiny_gemma
from training.detector.export import export
from training.detector.train import trainable_model
from training.recipe import DetectorRecipe

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 300


def detector_arguments(data: Path, base: Path, teacher: Path, run: Path) -> tuple[str, ...]:
    folders = ("--data", str(data), "--run", str(run))
    settings = (f"base={base}", f"teacher={teacher}", "ordinary_repeats=1")
    overrides = (word for setting in settings for word in ("--set", setting))
    return ("detector", "--recipe", "detector-minilm-l6", *folders, *overrides)


def tiny_teacher(base: Path, folder: Path) -> Path:
    """Export a detector with random weights."""
    recipe = DetectorRecipe(base=str(base))
    weights = materialize(recipe.base)
    export(trainable_model(recipe, weights.folder), weights, recipe, "c" * 64, folder)
    return folder


def start(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "training", *arguments]
    with log.open("wb") as stream:
        return subprocess.Popen(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT)


def finish(log: Path, *arguments: str) -> str:
    process = start(log, *arguments)
    try:
        assert process.wait(TIMEOUT_S) == 0, log.read_text()
    finally:
        process.kill()
    return log.read_text()


def kill_when(pattern: str, folder: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Kill the process as soon as a file in `folder` matches the pattern."""
    deadline_s = time.monotonic() + TIMEOUT_S
    try:
        while not list(folder.glob(pattern)):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()


def first_step(log: str, title: str) -> int:
    found = re.search(rf"{title}  step (\d+)/", log)
    assert found, log
    return int(found[1])


def test_killed_detector_run_resumes_and_its_artefact_loads(tmp_path: Path, data: Path) -> None:
    base = tiny_bert(tmp_path / "tiny-bert")
    run = tmp_path / "run"
    log = tmp_path / "log.txt"
    teacher = tiny_teacher(base, tmp_path / "teacher")
    arguments = (*detector_arguments(data, base, teacher, run), "--set", "epochs=2")
    kill_when("checkpoint-100/trainer_state.json", run, start(log, *arguments), log)
    resumed = finish(log, *arguments)
    assert first_step(resumed, "detector") > 100
    assert "teacher: " not in resumed, "the teacher was asked again"
    classifier = TransformerClassifier(run / "artifact")
    texts = ["unsplit joy line", "a longer text than the other one, to be padded to"]
    scores = classifier.scores(texts)
    assert scores.shape == (2, 6)
    assert scores.sum(-1).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert "emotion_val_macro_f1" in json.loads((run / "metrics.json").read_text())["metrics"]
    assert (run / "loss.png").stat().st_size > 1000


def test_killed_persona_run_resumes_and_its_adapter_loads(tmp_path: Path) -> None:
    base = tiny_gemma(tmp_path / "tiny-gemma")
    run = tmp_path / "run"
    log = tmp_path / "log.txt"
    arguments = ("personas", "fear", "--run", str(run), "--set", f"base={base}")
    kill_when("shared/checkpoint-*/trainer_state.json", run, start(log, *arguments), log)
    assert first_step(finish(log, *arguments), "shared") > 10
    adapter = load_adapter(run / "fear" / "adapter", weights_sha256(base), PROMPT_VERSION)
    assert adapter.manifest.metrics["held_out_nll"] > 0
    config = json.loads((adapter.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base.resolve())
    assert "step" not in finish(log, *arguments), "a finished run was trained again"


def test_same_seed_gives_the_same_loss_curve(tmp_path: Path, data: Path) -> None:
    base = tiny_bert(tmp_path / "tiny-bert")
    teacher = tiny_teacher(base, tmp_path / "teacher")
    curves = []
    for name in ("one", "two"):
        run = tmp_path / name
        arguments = detector_arguments(data, base, teacher, run)
        finish(tmp_path / "log.txt", *arguments, "--set", "epochs=0.5", "--set", "seed=7")
        history = json.loads((run / "metrics.json").read_text())["history"]
        curves.append([row["loss"] for row in history if "loss" in row])
    assert curves[0] == curves[1]
    assert len(curves[0]) > 2
