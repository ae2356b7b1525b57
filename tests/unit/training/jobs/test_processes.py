"""Stages in processes of their own: the result and the errors come back, and memory is released."""

import os
import weakref
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from models.emotions import Emotion
from support.tiny_models import tiny_gemma
from training import __main__ as cli
from training.datasets.persona_pairs import held_out_pairs, training_pairs
from training.errors import TrainingError
from training.jobs import processes
from training.personas import train, trainer
from training.recipe import PersonaRecipe


def test_a_stage_runs_in_another_process() -> None:
    assert processes.run_in_process("shared", os.getpid) != os.getpid()


def test_an_error_of_the_stage_is_raised_here() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        processes.run_in_process("joy", int, "no number")


def test_a_killed_process_names_its_stage() -> None:
    with pytest.raises(TrainingError, match="stage joy was killed"):
        processes.run_in_process("joy", os.abort)


@pytest.mark.parametrize("gpu", [True, False])
def test_personas_use_processes_on_a_gpu_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setattr("models.machine.precision.has_gpu", lambda: gpu)

    def run_in_process(title: str, *_: object) -> Path:
        calls.append(str(title))
        return tmp_path

    def train_personas(*_: object) -> list[Path]:
        calls.append("here")
        return []

    monkeypatch.setattr(processes, "run_in_process", run_in_process)
    monkeypatch.setattr(train, "train_personas", train_personas)
    arguments = ["personas", "joy", "fear", "--run", str(tmp_path / "run")]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert calls == (["shared", "joy", "fear"] if gpu else ["here"])


@pytest.mark.usefixtures("one_thread")
def test_a_stage_in_this_process_releases_its_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models: list[Any] = []
    make = trainer.make_trainer

    def record(*arguments: Any) -> Any:
        made = make(*arguments)
        models.append(weakref.ref(made.model))
        return made

    monkeypatch.setattr(train, "make_trainer", record)
    monkeypatch.setattr(trainer, "training_pairs", lambda *given: training_pairs(*given)[:2])
    monkeypatch.setattr(trainer, "held_out_pairs", lambda *given: held_out_pairs(*given)[:1])
    base = tiny_gemma(tmp_path / "base")
    recipe = PersonaRecipe(base=str(base), backend="peft", shared_epochs=0, vocabulary=None)
    train.train_persona(recipe, tmp_path / "run", Emotion.JOY)
    assert len(models) == 1
    assert models[0]() is None
