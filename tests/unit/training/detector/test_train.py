"""Settings of a detector's training that change its memory and not its result."""

from pathlib import Path

import pytest
import torch

from models.weights.cache import materialize
from support.tiny_models import tiny_bert, tiny_gemma
from training.datasets.sources import Example
from training.detector import train
from training.detector.train import Rows, make_trainer, trainable_model
from training.errors import RecipeError
from training.recipe import DetectorRecipe

EXAMPLES = [Example(f"number {each} " + "and on " * each, each) for each in range(6)]
SMALL = {"batch_size": 2, "accumulation_steps": 3}
LORA = {"lora_rank": 2, "lora_modules": ("q_proj", "v_proj")}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("make", "fields", "changes"),
    [
        (tiny_bert, {"dropout": 0.0}, SMALL),
        (tiny_bert, {"dropout": 0.0}, {"gradient_checkpointing": True}),
        (tiny_gemma, LORA, {**SMALL, "gradient_checkpointing": True}),
    ],
    ids=["accumulation", "checkpointing", "both, LoRA"],
)
def test_step_is_the_same_with_less_memory(
    make: object,
    fields: dict[str, object],
    changes: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "training_dtype", lambda: torch.float32)
    assert callable(make)
    base = str(make(tmp_path / "base"))
    plain = {"base": base, "batch_size": 6, "epochs": 1, "warmup_steps": 0}
    before, whole = step(DetectorRecipe.model_validate({**plain, **fields}), tmp_path / "one")
    start, parts = step(DetectorRecipe.model_validate({**plain, **fields, **changes}), tmp_path)
    assert torch.equal(before, start)
    assert (whole - before).norm() > 1e-4
    assert (whole - parts).norm() < 0.02 * (whole - before).norm()


def step(recipe: DetectorRecipe, run: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Train one step, and return the trained weights before and after it, `(n,)`."""
    base = materialize(recipe.base)
    torch.manual_seed(0)
    model = trainable_model(recipe, base.folder)
    before = trained(model)
    trainer = make_trainer(model, Rows(EXAMPLES, base.folder, 128), base, recipe, run / "run")
    trainer.train()
    assert trainer.state.global_step == 1
    return before, trained(model)


def trained(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat(
        [each.detach().flatten().clone() for each in model.parameters() if each.requires_grad]
    )


def test_dropout_that_the_base_does_not_have_is_an_error(tmp_path: Path) -> None:
    base = materialize(str(tiny_gemma(tmp_path / "base")))
    with pytest.raises(RecipeError, match="gemma3_text have no hidden_dropout_prob"):
        trainable_model(DetectorRecipe(base=base.name, dropout=0.1), base.folder)
