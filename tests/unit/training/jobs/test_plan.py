"""The plan of a dry run, against what training really does on tiny models."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.emotions import LABELS, Emotion
from models.prompt import PromptEncoder
from models.weights.cache import materialize
from support.tiny_models import tiny_bert, tiny_gemma
from training.datasets import sources
from training.datasets.persona_pairs import Pair, pairs
from training.datasets.sources import Example
from training.detector.train import train_detector, trainable_model
from training.errors import BackendError
from training.jobs import cost, plan
from training.jobs.cost import GIB, matmul_rate
from training.jobs.plan import Plan, plan_detector, plan_personas, print_plan
from training.personas import trainer
from training.recipe import DetectorRecipe, PersonaRecipe

LORA = {"lora_rank": 2, "lora_modules": ("query", "dense")}
RATE = 1e9
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of a known speed."""
    monkeypatch.setattr(cost, "matmul_rate", lambda: RATE)


@pytest.fixture
def sets(public_sets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny public sets with some own messages, one of them longer than any limit here."""
    own = [Example(f"{label} message number {number}, and nothing else", label.id) for label in LABELS for number in range(7)]
    monkeypatch.setattr(sources, "ordinary", lambda held_out: [Example("held out", 0)] if held_out else [*own, Example("long " * 99, 1)])
    return public_sets


@pytest.fixture
def few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    def few(persona: Emotion, held_out: bool) -> list[Pair]:
        return pairs(persona, held_out)[: 5 if held_out else 11]

    monkeypatch.setattr(trainer, "pairs", few)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "bert")


@pytest.fixture
def gemma(tmp_path: Path) -> Path:
    return tiny_gemma(tmp_path / "gemma")


def detector(base: Path, **fields: Any) -> DetectorRecipe:
    return DetectorRecipe.model_validate({"base": str(base), "batch_size": 8, "epochs": 1, "near_duplicate_jaccard": 1, **fields})


def persona(base: Path, **fields: Any) -> PersonaRecipe:
    return PersonaRecipe.model_validate({"base": str(base), "shared_epochs": 1, **fields})


def trained(recipe: DetectorRecipe, data: Path, run: Path) -> Any:
    """The trainer of a real training, when it is over."""
    trainers = []

    def keep(trainer: Any) -> Any:
        trainer.args.include_num_input_tokens_seen = "non_padding"
        trainers.append(trainer)
        return trainer

    train_detector(recipe, data, run, keep)
    return trainers[0]


def facts(found: Plan, stage: int = 0) -> tuple[int, int, int, int]:
    row = found.stages[stage]
    return row.rows, row.steps, round(row.tokens * row.epochs), found.trainable_parameters


def facts_of(trainer: Any) -> tuple[int, int, int, int]:
    state = trainer.state
    assert state.global_step == state.max_steps
    return len(trainer.train_dataset), state.max_steps, state.num_input_tokens_seen, trainer.get_num_trainable_parameters()


def size_of(model: torch.nn.Module, trained_alone: bool = False) -> int:
    chosen = [one for one in model.parameters() if one.requires_grad or not trained_alone]
    return sum(one.numel() * one.element_size() for one in chosen)


@pytest.mark.parametrize("fields", [{}, LORA, {"epochs": 2, "max_tokens": 20, "ordinary_repeats": 3}], ids=["whole", "lora", "longer"])
def test_the_plan_of_a_detector_is_what_training_does(bert: Path, sets: Path, tmp_path: Path, fields: dict[str, Any]) -> None:
    recipe = detector(bert, **fields)
    assert facts(plan_detector(recipe, sets)) == facts_of(trained(recipe, sets, tmp_path / "run"))


@pytest.mark.parametrize("fields", [{}, LORA, {"lora_rank": 3, "lora_modules": ("value",)}], ids=["whole", "lora", "value"])
def test_parameters_and_bytes_are_those_of_the_real_model(bert: Path, sets: Path, fields: dict[str, Any]) -> None:
    recipe = detector(bert, **fields)
    found, real = plan_detector(recipe, sets), trainable_model(recipe, bert)
    assert found.all_parameters == sum(one.numel() for one in real.parameters())
    assert found.memory.weights * GIB == pytest.approx(size_of(real))
    assert found.memory.gradients * GIB == pytest.approx(size_of(real, trained_alone=True))
    assert found.memory.optimizer == pytest.approx(2 * found.memory.gradients)
    assert found.memory.total > found.memory.activations > 0


def test_a_gemma_can_be_planned_as_a_detector(gemma: Path, sets: Path) -> None:
    recipe = detector(gemma, lora_rank=2, lora_modules=("q_proj",))
    found = plan_detector(recipe, sets)
    assert found.trainable_parameters == sum(one.numel() for one in trainable_model(recipe, gemma).parameters() if one.requires_grad)
    assert found.backend == "peft"


def test_workers_share_the_rows_of_a_step(bert: Path, sets: Path) -> None:
    rows = plan_detector(detector(bert), sets).stages[0].rows
    assert [plan_detector(detector(bert, workers=workers), sets).stages[0].steps for workers in (1, 3)] == [-(-rows // 8), -(-rows // 24)]


def test_no_weights_are_loaded_for_a_plan(bert: Path, sets: Path) -> None:
    (bert / "model.safetensors").write_bytes(b"no weights")
    assert plan_detector(detector(bert), sets).all_parameters > 0


@pytest.mark.parametrize(("fields", "flops"), [({}, 6), (LORA, 4)], ids=["whole", "lora"])
def test_time_is_estimated_from_flops(bert: Path, sets: Path, fields: dict[str, Any], flops: int) -> None:
    recipe = detector(bert, **fields, epochs=3)
    found = plan_detector(recipe, sets)
    words = trainable_model(recipe, bert).get_input_embeddings().weight.numel()
    assert found.seconds == pytest.approx(3 * flops * (found.all_parameters - words) * found.stages[0].tokens / RATE)
    assert "an estimate" in found.time_basis


@pytest.mark.usefixtures("few_pairs")
@pytest.mark.parametrize("limit", [240, 110], ids=["some answers cut", "some rows dropped"])
def test_the_plan_of_a_persona_stage_is_what_training_does(gemma: Path, tmp_path: Path, limit: int) -> None:
    recipe = persona(gemma, max_tokens=limit)
    made = trainer.make_trainer("shared", LABELS, recipe, materialize(str(gemma)), None, tmp_path / "run")
    made.args.include_num_input_tokens_seen = "non_padding"
    made.train()
    found = plan_personas(recipe)
    assert facts(found) == facts_of(made)
    labels = [label for row in made.train_dataset["labels"] for label in row if label != -100]
    assert found.stages[0].answer_tokens == len(labels)
    assert found.stages[0].longest == limit
    assert (found.stages[0].rows < 66) == (limit == 110)
    assert found.memory.weights * GIB == pytest.approx(size_of(made.model))


@pytest.mark.usefixtures("few_pairs")
def test_the_stages_are_the_shared_one_and_the_chosen(gemma: Path) -> None:
    recipe = persona(gemma, shared_epochs=2, epochs=0.5, max_tokens=999)
    found = plan_personas(recipe, [Emotion.FEAR, Emotion.JOY])
    assert [(row.name, row.rows, row.epochs, row.steps) for row in found.stages] == [
        ("shared", 66, 2, 18),
        ("fear", 11, 0.5, 1),
        ("joy", 11, 0.5, 1),
    ]
    encoder = PromptEncoder(gemma / "tokenizer.json")
    rows = [trainer.tokenised_pair(encoder, Emotion.FEAR, pair) for pair in trainer.pairs(Emotion.FEAR, False)]
    assert found.stages[1].tokens == sum(len(row["input_ids"]) for row in rows)
    assert found.stages[1].answer_tokens == sum(sum(row["completion_mask"]) for row in rows)


@pytest.mark.usefixtures("few_pairs")
def test_a_recipe_without_shared_stage_has_none(gemma: Path) -> None:
    assert [row.name for row in plan_personas(persona(gemma, shared_epochs=0)).stages] == list(LABELS)


@pytest.mark.usefixtures("few_pairs")
def test_four_bits_and_checkpoints_save_memory(gemma: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plan_personas(persona(gemma)).memory
    monkeypatch.setattr(plan, "choose_backend", lambda recipe: type("Unsloth", (), {"name": "unsloth"}))
    small = plan_personas(persona(gemma, four_bit=True)).memory
    assert small.activations < plain.activations
    assert small.weights < plain.weights
    assert small.gradients == plain.gradients


def test_a_backend_that_is_not_there_cannot_be_planned(gemma: Path) -> None:
    with pytest.raises(BackendError, match="unsloth"):
        plan_personas(persona(gemma, backend="unsloth"))


def test_a_detectors_steps_are_timed(bert: Path, sets: Path) -> None:
    weights = (bert / "model.safetensors").read_bytes()
    found = plan_detector(detector(bert), sets, measure=True)
    assert found.time_basis.startswith("measured: 5 steps")
    assert 0 < found.seconds < 600
    assert (bert / "model.safetensors").read_bytes() == weights


@pytest.mark.usefixtures("few_pairs")
@pytest.mark.parametrize(("fields", "steps"), [({}, 5), ({"shared_epochs": 0, "epochs": 0.1}, 1)], ids=["many", "one"])
def test_a_personas_steps_are_timed(gemma: Path, fields: dict[str, Any], steps: int) -> None:
    found = plan_personas(persona(gemma, **fields), measure=True)
    assert found.time_basis.startswith(f"measured: {steps} steps")
    assert 0 < found.seconds < 600


@pytest.mark.usefixtures("few_pairs")
def test_a_plan_is_printed(gemma: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = plan_personas(persona(gemma))
    print_plan(found)
    printed = capsys.readouterr().out
    parts = ["shared", *LABELS, "peft", f"{found.trainable_parameters:,} trained", f"{found.memory.total:.1f} GiB", "an estimate"]
    assert [part for part in parts if part not in printed] == []


def test_the_rate_of_this_machine_is_plausible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(cost, "MATMUL_S", 0.01)
    assert 1e8 < matmul_rate() < 1e17
