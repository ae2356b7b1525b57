"""Training on Ray with tiny models: parallel personas, a failed task, a distributed detector."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray
import torch
from safetensors.torch import load_file

from models.detector.transformer import TransformerClassifier
from models.emotions import Emotion
from models.hashing import file_sha256, weights_sha256
from models.manifest import ADAPTER_WEIGHTS, load_adapter
from models.prompt import PROMPT_VERSION
from support.tiny_models import tiny_bert, tiny_gemma
from training.datasets.mixture import training_examples
from training.errors import RecipeError, TrainingError
from training.jobs.distributed import train_detector_distributed, train_personas_parallel
from training.personas.train import train_personas
from training.recipe import DetectorRecipe, PersonaRecipe

CHOSEN = (Emotion.JOY, Emotion.FEAR)
END_TIMEOUT_S = 20


@pytest.fixture
def own_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Check that the processes that Ray starts in this test have ended after it."""
    before = _children()
    started: set[psutil.Process] = set()
    shutdown = ray.shutdown

    def recording_shutdown() -> None:
        started.update(_children() - before)
        shutdown()

    threads = torch.get_num_threads()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "shutdown", recording_shutdown)
    yield
    torch.set_num_threads(threads)
    _, alive = psutil.wait_procs(started, timeout=END_TIMEOUT_S)
    assert started
    assert not alive


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def persona_recipe(base: Path, shared_epochs: float) -> PersonaRecipe:
    return PersonaRecipe(
        base=str(base), threads=1, worker_cpus=0.5, shared_epochs=shared_epochs, epochs=0.4
    )


def test_parallel_personas_equal_those_of_a_serial_run(tmp_path: Path, own_ray: None) -> None:
    base = tiny_gemma(tmp_path / "tiny-gemma")
    recipe = persona_recipe(base, shared_epochs=0.1)
    parallel = train_personas_parallel(recipe, tmp_path / "parallel", CHOSEN)
    serial = train_personas(recipe, tmp_path / "serial", CHOSEN)
    for serial_folder, folder in zip(serial, parallel, strict=True):
        expected = load_file(serial_folder / ADAPTER_WEIGHTS)
        tensors = load_file(folder / ADAPTER_WEIGHTS)
        assert tensors.keys() == expected.keys()
        for name, tensor in tensors.items():
            assert torch.allclose(tensor, expected[name], rtol=0, atol=1e-6)
        adapter = load_adapter(folder, weights_sha256(base), PROMPT_VERSION)
        assert adapter.manifest.metrics["held_out_nll"] > 0
    assert [folder.parent.name for folder in parallel] == ["joy", "fear"]
    joy, fear = (file_sha256(folder / ADAPTER_WEIGHTS) for folder in parallel)
    assert joy != fear


def test_failed_persona_is_named_and_trained_when_the_run_resumes(
    tmp_path: Path, own_ray: None, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = persona_recipe(tiny_gemma(tmp_path / "tiny-gemma"), shared_epochs=0)
    run = tmp_path / "run"
    run.mkdir()
    (run / "fear").write_text("not a folder")
    with pytest.raises(
        TrainingError, match=r"^fear failed: (FileExists|NotADirectory)Error: .*fear"
    ):
        train_personas_parallel(recipe, run, CHOSEN)
    printed = capfd.readouterr().out
    assert "fear  failed" in printed
    assert re.search(r"^joy  step \d+/", printed, re.MULTILINE)
    assert "joy  done  NLL " in printed
    weights = run / "joy" / "adapter" / ADAPTER_WEIGHTS
    finished = weights.stat()
    (run / "fear").unlink()
    train_personas_parallel(recipe, run, CHOSEN)
    assert weights.stat() == finished, "a finished persona was trained again"
    assert "joy  step" not in capfd.readouterr().out


def test_detector_trains_on_two_workers(tmp_path: Path, data: Path, own_ray: None) -> None:
    run = tmp_path / "run"
    recipe = DetectorRecipe(
        base=str(tiny_bert(tmp_path / "tiny-bert")),
        threads=1,
        workers=2,
        worker_cpus=0.5,
        epochs=50,
        batch_size=4,
        learning_rate=1e-2,
        warmup_steps=10,
        dropout=0.0,
        ordinary_repeats=0,
    )
    classifier = TransformerClassifier(train_detector_distributed(recipe, data, run))
    scores = classifier.scores(["unsplit joy line", "a longer text than the other one"])
    assert scores.shape == (2, 6)
    log = json.loads((run / "metrics.json").read_text())["history"]
    losses = [row["loss"] for row in log if "loss" in row]
    assert losses[-1] < 0.8 * losses[0]
    steps = math.ceil(len(training_examples(recipe, data)) / 8)
    assert log[-1]["step"] == 50 * steps, "two workers train on 8 rows per step"
    checkpoint = next(run.glob("checkpoint-*"))
    states = {file.name for file in checkpoint.glob("rng_state*")}
    assert states == {"rng_state_0.pth", "rng_state_1.pth"}
    files = {file.name for file in run.iterdir() if not file.name.startswith("checkpoint-")}
    assert files == {
        "artifact",
        "ray",
        "recipe.json",
        "environment.json",
        "metrics.json",
        "loss.png",
    }


def test_rejects_more_workers_than_the_machine_has_cpus_for(tmp_path: Path, own_ray: None) -> None:
    base = tiny_bert(tmp_path / "tiny-bert")
    recipe = DetectorRecipe(base=str(base), workers=2, worker_cpus=1000)
    with pytest.raises(RecipeError, match="2000 CPUs"):
        train_detector_distributed(recipe, None, tmp_path / "run")
