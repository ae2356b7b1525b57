"""Fine-tuning of base weights into a six-way classifier, whole or by LoRA, with a trained head.

    recipe -> mix -> Trainer -> tensors that changed -> temperature -> artefact and manifest

The base is a BERT-like encoder or a Gemma. The word embeddings stay frozen: words that are not in
the data keep their meaning, and the artefact is smaller.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    DataCollatorWithPadding,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from models.detector.factory import open_for_training
from models.detector.transformer import blank_model, load_tokenizer
from models.hashing import json_sha256
from models.machine.precision import has_gpu, training_dtype
from models.text.normalize import normalize
from models.weights.cache import Materialized, materialize
from training.datasets.mixture import training_examples, unlabelled_texts
from training.datasets.sources import Example, load_tweets
from training.detector.distill import (
    NO_LABEL,
    Student,
    TaughtRows,
    TeacherOutputs,
    ask_teacher,
)
from training.detector.export import calibrate, export, load_start_weights, start_hash
from training.errors import RecipeError
from training.recipe import DetectorRecipe
from training.runs.folder import open_run, write_results
from training.runs.machine import prepare_machine
from training.runs.progress import ProgressLine, console, quiet_libraries
from training.runs.row_order import GroupedByLength

DROPOUT_FIELDS = ("hidden_dropout_prob", "attention_probs_dropout_prob")

Prepare = Callable[[Trainer], Trainer]


class Rows(Dataset[dict[str, object]]):
    """Tokenized examples."""

    def __init__(self, examples: list[Example], base: Path, max_tokens: int) -> None:
        """Tokenize the examples with the tokenizer of `base`."""
        self.ids = token_ids(examples, base, max_tokens)
        self.labels = [example.label for example in examples]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"input_ids": self.ids[index], "labels": self.labels[index]}


def token_ids(examples: list[Example], base: Path, max_tokens: int) -> list[list[int]]:
    """Tokenize the texts as serving does: normalized first."""
    texts = [normalize(example.text) for example in examples]
    ids: list[list[int]] = load_tokenizer(base)(texts, truncation=True, max_length=max_tokens)[
        "input_ids"
    ]
    return ids


class DetectorTrainer(GroupedByLength, Trainer):  # type: ignore[misc]
    """Trainer whose optimiser steps have rows of similar length."""


def train_detector(
    recipe: DetectorRecipe,
    data: Path | None,
    run: Path,
    prepare: Prepare = lambda trainer: trainer,
) -> Path:
    """Train a detector, or resume an interrupted run, and return the artefact's folder.

    Args:
        recipe: settings of the run.
        data: folder of the public sets, None for the hub.
        run: folder of the run; it gets checkpoints, results and the artefact.
        prepare: adapts the trainer to a distributed run.

    Raises:
        LeakError: an evaluation text is in the mix.
        RecipeError: the artefact to start from is missing or does not fit, or `run` was started
            with another recipe, other data or another artefact.
    """
    quiet_libraries()
    set_seed(recipe.seed)
    prepare_machine(recipe.threads)
    starts = {"start": recipe.start, "teacher": recipe.teacher}
    hashes = {name: start_hash(Path(folder)) for name, folder in starts.items() if folder}
    base = materialize(recipe.base, console.print)
    examples = training_examples(recipe, data)
    data_hash = json_sha256([[example.text, example.label] for example in examples])
    open_run(run, recipe, {"training": data_hash, **hashes})
    model = trainable_model(recipe, base.folder)
    if recipe.start:
        load_start_weights(model, Path(recipe.start))
    if recipe.teacher:
        unlabelled = unlabelled_texts(recipe, data, examples)
        examples += [Example(text, NO_LABEL) for text in unlabelled]
        outputs = _teacher_outputs(Path(recipe.teacher), examples, data, run)
        student = Student(model, recipe, outputs.width)
        ids = token_ids(examples, base.folder, recipe.max_tokens)
        trainer = prepare(
            make_trainer(student, TaughtRows(examples, ids, outputs), base, recipe, run)
        )
    else:
        rows = Rows(examples, base.folder, recipe.max_tokens)
        trainer = prepare(make_trainer(model, rows, base, recipe, run))
    console.print(f"{len(trainer.train_dataset)} training rows, base {base.name}")
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run)))
    if trainer.is_world_process_zero():
        export(model, base, recipe, data_hash, run / "artifact")
        write_results(run, trainer.state.log_history, calibrate(run / "artifact", data).metrics)
    return run / "artifact"


def trainable_model(recipe: DetectorRecipe, base: Path) -> PreTrainedModel | PeftModel:
    """Load the base with a new head, and mark the weights that the recipe trains.

    Raises RecipeError if the recipe sets a dropout that the base does not have.
    """
    dropout = _dropout_fields(recipe, base)
    if recipe.lora_rank is None:
        return with_trainable_part(recipe, blank_model(base, torch.float32, dropout))
    # The artefact is loaded on bf16 weights, so these values are trained on in any type.
    model = blank_model(base, torch.bfloat16, dropout).to(training_dtype())
    return with_trainable_part(recipe, model)


def _dropout_fields(recipe: DetectorRecipe, base: Path) -> dict[str, float]:
    """Return the fields of the base's configuration that the recipe overrides."""
    if recipe.dropout is None:
        return {}
    config = AutoConfig.from_pretrained(base)
    missing = [name for name in DROPOUT_FIELDS if not hasattr(config, name)]
    if missing:
        raise RecipeError(
            f"base weights of the type {config.model_type} have no {missing[0]}: set dropout=none, "
            "or choose base weights that are a BERT or an MPNet"
        )
    return dict.fromkeys(DROPOUT_FIELDS, recipe.dropout)


def with_trainable_part(
    recipe: DetectorRecipe, model: PreTrainedModel
) -> PreTrainedModel | PeftModel:
    """Mark the weights that the recipe trains.

    These are LoRA matrices and the head, or all weights but the word embeddings.
    """
    if recipe.lora_rank is None:
        model.get_input_embeddings().weight.requires_grad_(False)
        return model
    lora = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=recipe.lora_alpha,
        target_modules=list(recipe.lora_modules),
        layers_to_transform=list(range(recipe.lora_skip_layers, model.config.num_hidden_layers)),
        task_type="SEQ_CLS",
    )
    wrapped = get_peft_model(model, lora)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # small steps of AdamW are lost in bf16
    return wrapped


def _teacher_outputs(
    teacher: Path, examples: list[Example], data: Path | None, run: Path
) -> TeacherOutputs:
    """Let the teacher read all texts but those of dair-ai/emotion.

    Those are many, and their labels follow a rule of their own.
    """
    tweets = {example.text for example in load_tweets(data)}
    texts = sorted({example.text for example in examples} - tweets)
    return ask_teacher(open_for_training(teacher), texts, run)


def make_trainer(
    model: nn.Module,
    rows: Rows | TaughtRows,
    base: Materialized,
    recipe: DetectorRecipe,
    run: Path,
) -> Trainer:
    """Build the trainer of a recipe, which writes its checkpoints to `run`."""
    trainer = DetectorTrainer(
        model=model,
        args=_arguments(recipe, run),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(load_tokenizer(base.folder)),
        callbacks=[ProgressLine(recipe.part)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(recipe: DetectorRecipe, run: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(run),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation_steps,
        gradient_checkpointing=recipe.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        label_smoothing_factor=recipe.label_smoothing,
        bf16=training_dtype() is torch.bfloat16,
        use_cpu=not has_gpu(),
        seed=recipe.seed,
        logging_steps=25,
        save_steps=recipe.save_steps,
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
    )
