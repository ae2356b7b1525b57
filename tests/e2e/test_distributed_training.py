"""Training on Ray with tiny models: the personas come out as one after the other, a failure is named, a detector trains on two workers."""

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
    """What Ray starts in this test is gone after it."""
    before, started, shutdown = _children(), set[psutil.Process](), ray.shutdown

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
    return PersonaRecipe(base=str(base), threads=1, worker_cpus=0.5, shared_epochs=shared_epochs, epochs=0.4)


def test_personas_in_parallel_are_those_of_a_serial_run(tmp_path: Path, own_ray: None) -> None:
    base = tiny_gemma(tmp_path / "tiny-gemma")
    recipe = persona_recipe(base, shared_epochs=0.1)
    parallel = train_personas_parallel(recipe, tmp_path / "parallel", CHOSEN)
    for one, other in zip(train_personas(recipe, tmp_path / "serial", CHOSEN), parallel, strict=True):
        serial, tensors = load_file(one / ADAPTER_WEIGHTS), load_file(other / ADAPTER_WEIGHTS)
        assert serial.keys() == tensors.keys()
        assert all(torch.allclose(tensors[name], serial[name], rtol=0, atol=1e-6) for name in serial)
        adapter = load_adapter(other, weights_sha256(base), PROMPT_VERSION)
        assert adapter.manifest.metrics["held_out_nll"] > 0
    assert [folder.parent.name for folder in parallel] == ["joy", "fear"]
    joy, fear = (file_sha256(folder / ADAPTER_WEIGHTS) for folder in parallel)
    assert joy != fear


def test_a_failed_persona_is_named_and_goes_on_when_mended(tmp_path: Path, own_ray: None, capfd: pytest.CaptureFixture[str]) -> None:
    recipe, run = persona_recipe(tiny_gemma(tmp_path / "tiny-gemma"), shared_epochs=0), tmp_path / "run"
    run.mkdir()
    (run / "fear").write_text("not a folder")
    with pytest.raises(TrainingError, match=r"^fear failed: (FileExists|NotADirectory)Error: .*fear"):
        train_personas_parallel(recipe, run, CHOSEN)
    printed = capfd.readouterr().out
    assert "fear  failed" in printed
    assert re.search(r"^joy  step \d+/", printed, re.MULTILINE)
    assert "joy  done  NLL " in printed
    finished = (run / "joy" / "adapter" / ADAPTER_WEIGHTS).stat()
    (run / "fear").unlink()
    train_personas_parallel(recipe, run, CHOSEN)
    assert (run / "joy" / "adapter" / ADAPTER_WEIGHTS).stat() == finished, "a finished persona was trained again"
    assert "joy  step" not in capfd.readouterr().out


def test_a_detector_trains_on_two_workers(tmp_path: Path, data: Path, own_ray: None) -> None:
    base, run = tiny_bert(tmp_path / "tiny-bert"), tmp_path / "run"
    shape = {"epochs": 50, "batch_size": 4, "learning_rate": 1e-2, "warmup_steps": 10, "dropout": 0.0, "ordinary_repeats": 0}
    recipe = DetectorRecipe(base=str(base), threads=1, workers=2, worker_cpus=0.5, **shape)
    classifier = TransformerClassifier(train_detector_distributed(recipe, data, run))
    assert classifier.scores(["unsplit joy line", "a longer text than the other one"]).shape == (2, 6)
    log = json.loads((run / "metrics.json").read_text())["history"]
    losses = [row["loss"] for row in log if "loss" in row]
    assert losses[-1] < 0.8 * losses[0]
    assert log[-1]["step"] == 50 * math.ceil(len(training_examples(recipe, data)) / 8), "two workers take 8 rows a step"
    assert {file.name for file in next(run.glob("checkpoint-*")).glob("rng_state*")} == {"rng_state_0.pth", "rng_state_1.pth"}
    others = {"artifact", "ray", "recipe.json", "environment.json", "metrics.json", "loss.png"}
    assert {file.name for file in run.iterdir() if not file.name.startswith("checkpoint-")} == others


def test_more_than_the_machine_has_is_refused(tmp_path: Path, own_ray: None) -> None:
    recipe = DetectorRecipe(base=str(tiny_bert(tmp_path / "tiny-bert")), workers=2, worker_cpus=1000)
    with pytest.raises(RecipeError, match="2000 CPUs"):
        train_detector_distributed(recipe, None, tmp_path / "run")
