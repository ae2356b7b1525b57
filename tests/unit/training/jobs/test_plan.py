"""The plan of a dry run, against real trainings of tiny models."""

import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import save

from models.emotions import LABELS, Emotion
from models.prompt import PromptEncoder
from models.weights.cache import materialize
from support.tiny_models import tiny_bert, tiny_gemma
from training.datasets import sources
from training.datasets.persona_pairs import Pair, held_out_pairs, training_pairs
from training.datasets.sources import Example
from training.detector.train import train_detector, trainable_model
from training.errors import BackendError
from training.jobs import plan, timing
from training.jobs.memory import GIB
from training.jobs.plan import Plan, plan_detector, plan_personas
from training.jobs.plan_table import print_plan
from training.jobs.timing import matmul_rate
from training.personas import trainer
from training.personas.trainer import TrainingStage
from training.recipe import DetectorRecipe, PairSet, PersonaRecipe

LORA = {"lora_rank": 2, "lora_modules": ("query", "dense")}
RATE = 1e9
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the machine a known FLOP/s."""
    monkeypatch.setattr(timing, "matmul_rate", lambda: RATE)


@pytest.fixture
def sets(public_sets: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Add messages of the project to the tiny public sets, one of them longer than any limit."""
    own = [
        Example(f"{label} message number {number}, and nothing else", label.id)
        for label in LABELS
        for number in range(7)
    ]
    own.append(Example("long " * 99, 1))

    def ordinary(held_out: bool) -> list[Example]:
        return [Example("held out", 0)] if held_out else own

    monkeypatch.setattr(sources, "load_ordinary", ordinary)
    return public_sets


@pytest.fixture
def few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train and evaluate on the first pairs of each persona only."""

    def few_training_pairs(persona: Emotion, pair_set: PairSet = "literary") -> list[Pair]:
        return training_pairs(persona, pair_set)[:11]

    def few_held_out_pairs(persona: Emotion, pair_set: PairSet = "literary") -> list[Pair]:
        return held_out_pairs(persona, pair_set)[:5]

    monkeypatch.setattr(trainer, "training_pairs", few_training_pairs)
    monkeypatch.setattr(trainer, "held_out_pairs", few_held_out_pairs)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "bert")


@pytest.fixture
def gemma(tmp_path: Path) -> Path:
    return tiny_gemma(tmp_path / "gemma")


def detector_recipe(base: Path, **fields: Any) -> DetectorRecipe:
    defaults = {"base": str(base), "batch_size": 8, "epochs": 1, "near_duplicate_jaccard": 1}
    return DetectorRecipe.model_validate(defaults | fields)


def persona_recipe(base: Path, **fields: Any) -> PersonaRecipe:
    return PersonaRecipe.model_validate({"base": str(base), "shared_epochs": 1, **fields})


def train(recipe: DetectorRecipe, data: Path, run: Path) -> Any:
    """Run a real training, and return its trainer."""
    trainers = []

    def keep(trainer: Any) -> Any:
        trainer.args.include_num_input_tokens_seen = "non_padding"
        trainers.append(trainer)
        return trainer

    train_detector(recipe, data, run, keep)
    return trainers[0]


def planned(found: Plan) -> tuple[int, int, int, int]:
    """Return rows, steps, tokens and trainable parameters of the first stage of a plan."""
    stage = found.stages[0]
    tokens = round(stage.tokens * stage.epochs)
    return stage.rows, stage.steps, tokens, found.trainable_parameters


def trained(trainer: Any) -> tuple[int, int, int, int]:
    """Return rows, steps, tokens and trainable parameters of a finished training."""
    state = trainer.state
    assert state.global_step == state.max_steps
    parameters = trainer.get_num_trainable_parameters()
    return len(trainer.train_dataset), state.max_steps, state.num_input_tokens_seen, parameters


def parameters_of(model: torch.nn.Module, trained_only: bool = False) -> int:
    chosen = [each for each in model.parameters() if each.requires_grad or not trained_only]
    return sum(each.numel() for each in chosen)


def bytes_of(model: torch.nn.Module, trained_only: bool = False) -> int:
    chosen = [each for each in model.parameters() if each.requires_grad or not trained_only]
    return sum(each.numel() * each.element_size() for each in chosen)


@pytest.mark.parametrize(
    "fields",
    [{}, LORA, {"epochs": 2, "max_tokens": 20, "ordinary_repeats": 3}],
    ids=["whole", "lora", "longer"],
)
def test_detector_plan_equals_the_training(
    bert: Path, sets: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:
    recipe = detector_recipe(bert, **fields)
    assert planned(plan_detector(recipe, sets)) == trained(train(recipe, sets, tmp_path / "run"))


@pytest.mark.parametrize(
    "fields",
    [{}, LORA, {"lora_rank": 3, "lora_modules": ("value",)}],
    ids=["whole", "lora", "value"],
)
def test_parameters_and_memory_equal_those_of_the_model(
    bert: Path, sets: Path, fields: dict[str, Any]
) -> None:
    recipe = detector_recipe(bert, **fields)
    found = plan_detector(recipe, sets)
    model = trainable_model(recipe, bert)
    assert found.all_parameters == parameters_of(model)
    assert found.memory.weights * GIB == pytest.approx(bytes_of(model))
    assert found.memory.gradients * GIB == pytest.approx(bytes_of(model, trained_only=True))
    assert found.memory.optimizer == pytest.approx(2 * found.memory.gradients)
    assert found.memory.total > found.memory.activations > 0


def test_plans_a_gemma_as_a_detector(gemma: Path, sets: Path) -> None:
    recipe = detector_recipe(gemma, lora_rank=2, lora_modules=("q_proj",))
    found = plan_detector(recipe, sets)
    model = trainable_model(recipe, gemma)
    assert found.trainable_parameters == parameters_of(model, trained_only=True)
    assert found.backend == "peft"


def test_workers_share_the_rows_of_a_step(bert: Path, sets: Path) -> None:
    one = plan_detector(detector_recipe(bert), sets).stages[0]
    three = plan_detector(detector_recipe(bert, workers=3), sets).stages[0]
    assert (one.steps, three.steps) == (-(-one.rows // 8), -(-one.rows // 24))


def test_plan_loads_no_weights(bert: Path, sets: Path) -> None:
    (bert / "model.safetensors").write_bytes(save({}))  # no weights
    assert plan_detector(detector_recipe(bert), sets).all_parameters > 0


@pytest.mark.parametrize(("fields", "flops"), [({}, 6), (LORA, 4)], ids=["whole", "lora"])
def test_time_is_estimated_from_flops(
    bert: Path, sets: Path, fields: dict[str, Any], flops: int
) -> None:
    recipe = detector_recipe(bert, **fields, epochs=3)
    found = plan_detector(recipe, sets)
    embeddings = trainable_model(recipe, bert).get_input_embeddings().weight.numel()
    body = found.all_parameters - embeddings
    assert found.seconds == pytest.approx(3 * flops * body * found.stages[0].tokens / RATE)
    assert "an estimate" in found.time_basis


@pytest.mark.usefixtures("few_pairs")
@pytest.mark.parametrize("limit", [240, 110], ids=["some answers cut", "some rows dropped"])
def test_persona_plan_equals_the_training(gemma: Path, tmp_path: Path, limit: int) -> None:
    recipe = persona_recipe(gemma, max_tokens=limit)
    base = materialize(str(gemma))
    stage = TrainingStage("shared", LABELS)
    made = trainer.make_trainer(stage, recipe, base, tmp_path / "run")
    made.args.include_num_input_tokens_seen = "non_padding"
    made.train()
    found = plan_personas(recipe)
    planned_stage = found.stages[0]
    assert planned(found) == trained(made)
    labels = [label for row in made.train_dataset["labels"] for label in row if label != -100]
    assert planned_stage.answer_tokens == len(labels)
    assert planned_stage.longest == limit
    assert (planned_stage.rows < 66) == (limit == 110)
    assert found.memory.weights * GIB == pytest.approx(bytes_of(made.model))


@pytest.mark.usefixtures("few_pairs")
def test_stages_are_the_shared_one_and_those_of_the_chosen_personas(gemma: Path) -> None:
    recipe = persona_recipe(gemma, shared_epochs=2, epochs=0.5, max_tokens=999)
    found = plan_personas(recipe, [Emotion.FEAR, Emotion.JOY])
    assert [(row.name, row.rows, row.epochs, row.steps) for row in found.stages] == [
        ("shared", 66, 2, 18),
        ("fear", 11, 0.5, 1),
        ("joy", 11, 0.5, 1),
    ]
    encoder = PromptEncoder(gemma / "tokenizer.json")
    pairs = trainer.training_pairs(Emotion.FEAR)  # type: ignore[attr-defined]
    rows = [trainer.encode_pair(encoder, Emotion.FEAR, pair, 999) for pair in pairs]
    assert found.stages[1].tokens == sum(len(row["input_ids"]) for row in rows)
    assert found.stages[1].answer_tokens == sum(
        label != -100 for row in rows for label in row["labels"]
    )


@pytest.mark.usefixtures("few_pairs")
def test_recipe_without_shared_stage_has_one_stage_per_persona(gemma: Path) -> None:
    found = plan_personas(persona_recipe(gemma, shared_epochs=0))
    assert [row.name for row in found.stages] == list(LABELS)


@pytest.mark.usefixtures("few_pairs")
def test_four_bits_save_memory(gemma: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plan_personas(persona_recipe(gemma)).memory
    backend = type("Unsloth", (), {"name": "unsloth"})
    monkeypatch.setattr(plan, "choose_backend", lambda recipe: backend)
    small = plan_personas(persona_recipe(gemma, four_bit=True)).memory
    assert small.weights < plain.weights
    assert small.gradients == plain.gradients


@pytest.mark.usefixtures("few_pairs")
def test_plans_a_recipe_for_a_gpu_without_gpu_and_without_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FYE_CACHE", str(tmp_path))
    found = plan_personas(PersonaRecipe.read("personas-gemma-2-2b"))
    print_plan(found)
    assert found.all_parameters == 2_614_341_888 + found.trainable_parameters
    assert found.trainable_parameters == 16 * 26 * (
        (2304 + 2048) + 2 * (2304 + 1024) + (2048 + 2304) + 3 * (2304 + 9216)
    )
    assert found.memory.weights == pytest.approx(
        (2 * 2_614_341_888 + 4 * found.trainable_parameters) / GIB, rel=0.02
    )
    assert (found.backend, found.seconds) == ("unsloth", None)
    assert [fit.card_gb for fit in found.fits if fit.fits] == [16, 24, 80]
    assert found.memory.frozen == pytest.approx(2 * 2_614_341_888 / GIB)
    assert found.memory.gradients == pytest.approx(4 * found.trainable_parameters / GIB)
    printed = capsys.readouterr().out
    assert "16 GB (RTX A4000)" in printed
    assert "Derived, not measured" in printed
    assert "gemma-2-2b is not downloaded" in printed
    assert list(tmp_path.iterdir()) == []


def test_rejects_plan_for_an_unavailable_backend(gemma: Path) -> None:
    with pytest.raises(BackendError, match="unsloth"):
        plan_personas(persona_recipe(gemma, backend="unsloth"))


@pytest.fixture
def one_second_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock, which is read once a step, go on by a second each time."""
    seconds = count()
    monkeypatch.setattr(timing, "_now_s", lambda: float(next(seconds)))


def check_measured(found: Plan, steps: int) -> None:
    """Check a measurement with a second a step: its time is that of all tokens at its rate."""
    basis = re.fullmatch(rf"measured: {steps} steps at ([\d,]+) tokens/s", found.time_basis)
    assert basis
    tokens = sum(stage.epochs * stage.tokens for stage in found.stages)
    rate = int(basis[1].replace(",", ""))
    assert 0 < rate < found.stages[0].tokens
    assert found.seconds == pytest.approx(tokens / rate, rel=0.6 / rate)
    whole_steps = sum(stage.epochs * stage.rows for stage in found.stages) / 8  # rows a step
    assert found.seconds == pytest.approx(whole_steps, rel=0.5)


@pytest.mark.usefixtures("one_second_a_step")
def test_measures_the_steps_of_a_detector(bert: Path, sets: Path) -> None:
    weights = (bert / "model.safetensors").read_bytes()
    found = plan_detector(detector_recipe(bert), sets, measure=True)
    check_measured(found, 5)
    assert (bert / "model.safetensors").read_bytes() == weights


@pytest.mark.usefixtures("few_pairs", "one_second_a_step")
@pytest.mark.parametrize(
    ("fields", "steps"), [({}, 5), ({"shared_epochs": 0, "epochs": 0.1}, 1)], ids=["many", "one"]
)
def test_measures_the_steps_of_a_persona(gemma: Path, fields: dict[str, Any], steps: int) -> None:
    found = plan_personas(persona_recipe(gemma, **fields), measure=True)
    check_measured(found, steps)


@pytest.mark.usefixtures("few_pairs")
def test_prints_stages_and_needs(gemma: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = plan_personas(persona_recipe(gemma))
    print_plan(found)
    printed = capsys.readouterr().out
    parts = [
        "shared",
        *LABELS,
        "peft",
        f"{found.trainable_parameters:,} trained",
        f"{found.memory.total:.1f} GiB",
        "an estimate",
    ]
    assert [part for part in parts if part not in printed] == []


def test_rate_is_that_of_all_products_in_the_measured_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    marks_s = iter([10, 10.1, 10.2, 10.5])
    monkeypatch.setattr(timing, "_now_s", lambda: next(marks_s))
    monkeypatch.setattr(timing, "has_gpu", lambda: False)
    assert matmul_rate() == pytest.approx(3 * 2 * 1024**3 / 0.5)
