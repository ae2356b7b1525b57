"""Training of the safety classifier: `python -m training safety`.

    rows -> windows -> Trainer -> thresholds on validation rows -> artefact and manifest

The last layers are trained, in float32 on a CPU without bf16 instructions. A row may have two right
outcomes: the loss is the negative logarithm of their joint probability.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.utils.data import Dataset
from transformers import (
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from models.detector.transformer import load_tokenizer
from models.hashing import json_sha256
from models.machine.precision import has_gpu, training_dtype
from models.safety.levels import OUTCOMES
from models.safety.windows import WindowEncoder
from models.weights.cache import Materialized, materialize
from training.recipe import SafetyRecipe
from training.runs.folder import open_run, write_results
from training.runs.machine import prepare_machine, refuse_launcher
from training.runs.progress import ProgressLine, console, quiet_libraries
from training.runs.row_order import GroupedByLength
from training.safety.data import (
    FILES,
    Row,
    load_harm_rows,
    load_ordinary_rows,
    load_rows,
    split,
    without_near_duplicates,
)
from training.safety.embedding import compose, embed, training_windows
from training.safety.export import calibrate, export
from training.safety.model import SafetyModel

VALIDATION_EMBEDDED = 400
VALIDATION_COMPOSED = 200


class WindowRows(Dataset[dict[str, object]]):
    """Windows of rows with their right outcomes."""

    def __init__(self, rows: Sequence[Row], encoder: WindowEncoder) -> None:
        """Encode the rows."""
        self.windows = [
            (window, [float(index in row.outcomes) for index in range(len(OUTCOMES))])
            for row in rows
            for window in training_windows(encoder, row)
        ]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, object]:
        window, right = self.windows[index]
        return {
            "input_ids": list(window.ids),
            "token_type_ids": list(window.types),
            "labels": right,
        }


class SafetyTrainer(GroupedByLength, Trainer):  # type: ignore[misc]
    """Trainer whose batches have rows of similar length."""


def safety_rows(recipe: SafetyRecipe) -> tuple[list[Row], list[Row]]:
    """Return the training rows and the validation rows; neither has a test message."""
    test = load_rows("test")
    rows = [row for name in FILES for row in load_rows(name)] + load_harm_rows()
    rows += load_ordinary_rows(recipe.ordinary_rows, recipe.seed)
    training, validation = split(
        without_near_duplicates(rows, test), recipe.validation_share, recipe.seed
    )
    fillers = _fillers(validation)
    return (
        training + embed(training, _fillers(training), recipe.embedded_rows, recipe.seed),
        validation
        + embed(validation, fillers, VALIDATION_EMBEDDED, recipe.seed)
        + compose(fillers, VALIDATION_COMPOSED, recipe.seed),
    )


def _fillers(rows: Sequence[Row]) -> list[str]:
    """Return harmless texts, among which others are embedded: everyday ones and long ones."""
    kinds = {"everyday", "emotional", "strong", "long", "message"}
    return [row.text for row in rows if row.kind in kinds and max(row.outcomes) == 0]


def train_safety(recipe: SafetyRecipe, run: Path) -> Path:
    """Train the classifier, or resume an interrupted run, and return the artefact's folder.

    Raises RecipeError if `run` was started with another recipe or other data, and BackendError if
    a launcher started this process.
    """
    refuse_launcher("one process trains it in minutes")
    quiet_libraries()
    set_seed(recipe.seed)
    prepare_machine(recipe.threads)
    base = materialize(recipe.base, console.print)
    training, validation = safety_rows(recipe)
    data_hash = json_sha256([[row.text, sorted(row.outcomes)] for row in training])
    open_run(run, recipe, {"training": data_hash})
    encoder = WindowEncoder(Tokenizer.from_file(str(base.folder / "tokenizer.json")))
    windows = WindowRows(training, encoder)
    console.print(f"{len(training)} training rows, {len(windows)} windows, base {base.name}")
    model = SafetyModel(base.folder, recipe.frozen_layers, recipe.pooling)
    trainer = _trainer(model, windows, base, recipe, run)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run)))
    export(model, base, data_hash, run / "artifact")
    write_results(run, trainer.state.log_history, calibrate(run / "artifact", validation).metrics)
    return run / "artifact"


def _trainer(
    model: SafetyModel,
    windows: WindowRows,
    base: Materialized,
    recipe: SafetyRecipe,
    run: Path,
) -> Trainer:
    trainer = SafetyTrainer(
        model=model,
        args=_arguments(recipe, run),
        train_dataset=windows,
        data_collator=DataCollatorWithPadding(load_tokenizer(base.folder)),
        callbacks=[ProgressLine("safety")],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(recipe: SafetyRecipe, run: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(run),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        bf16=training_dtype() is torch.bfloat16,
        use_cpu=not has_gpu(),
        seed=recipe.seed,
        logging_steps=10,
        save_steps=recipe.save_steps,
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
    )
