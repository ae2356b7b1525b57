"""Preference stage of the persona adapters, by direct preference optimisation (DPO).

    marked answers -> preferences -> one LoRA, trained on top of each persona's frozen adapter
                   -> its update joined to each of the six -> PEFT folders and manifests

The adapters are nearly alike, so they share the update: the marks of all personas teach it. The
reference model is the persona's own adapter without the update (Rafailov et al. 2023,
https://arxiv.org/abs/2305.18290).
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch.nn.functional import logsigmoid
from torch.utils.data import Dataset
from transformers import (
    AutoModelForCausalLM,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)

from models.attention import attention_of
from models.emotions import LABELS
from models.hashing import json_sha256
from models.machine.precision import has_gpu, training_dtype
from models.manifest import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    AdapterManifest,
    adapter_hash,
)
from models.prompt import PromptEncoder
from models.weights.cache import Materialized, materialize
from training.datasets.persona_pairs import Pair
from training.datasets.preferences import Preference, preferences
from training.datasets.read_labels import read_labels
from training.personas.joined import join_updates
from training.personas.loss import IGNORED, completion_loss, select_vocabulary
from training.personas.trainer import encode_pair
from training.recipe import PreferenceRecipe
from training.runs.folder import open_run, write_results
from training.runs.machine import prepare_machine, refuse_launcher
from training.runs.progress import ProgressLine, console, quiet_libraries

UPDATE = "preference"  # name of the LoRA that is trained
VOCABULARY_ROWS = 32
TOPIC = "ordinary"  # of a pair that is only encoded


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """An encoded preference: the batches of both answers, each of one row."""

    persona: str
    chosen: dict[str, torch.Tensor]
    rejected: dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Update:
    """A trained update.

    Attributes:
        tensors: its LoRA matrices.
        scale: alpha / rank.
        data_hash: of the preferences.
    """

    tensors: dict[str, torch.Tensor]
    scale: float
    data_hash: str


class PreferenceRows(Dataset[PreferenceRow]):
    """Encoded preferences."""

    def __init__(
        self, found: Sequence[Preference], encoder: PromptEncoder, max_tokens: int
    ) -> None:
        """Encode the preferences in the prompt format of serving."""

        def encode(each: Preference, answer: str) -> dict[str, torch.Tensor]:
            pair = Pair(topic=TOPIC, message=each.message, answer=answer)
            row = encode_pair(encoder, each.persona, pair, max_tokens)
            ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
            return {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}

        self.rows = [
            PreferenceRow(str(each.persona), encode(each, each.chosen), encode(each, each.rejected))
            for each in found
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> PreferenceRow:
        return self.rows[index]


class PreferenceTrainer(Trainer):  # type: ignore[misc]
    """Trainer with the loss of DPO on one preference, and a little of the chosen answer's own.

    Attributes:
        vocabulary: sorted token ids of the training softmax, None for all.
        recipe: settings of the run.
    """

    vocabulary: torch.Tensor | None = None
    recipe: PreferenceRecipe

    def compute_loss(
        self,
        model: PeftModel,
        inputs: dict[str, PreferenceRow],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Compute the loss of one preference; with `return_outputs` also its reward margin."""
        row = inputs["row"]
        activate(model, row.persona, update=False)
        with torch.no_grad():
            reference = [self._nll(model, each) for each in (row.chosen, row.rejected)]
        activate(model, row.persona, update=True)
        policy = [self._nll(model, each) for each in (row.chosen, row.rejected)]
        gains = [before - after for before, after in zip(reference, policy, strict=True)]
        margin = self.recipe.beta * (gains[0] - gains[1])
        tokens = (row.chosen["labels"] != IGNORED).sum()
        loss = -logsigmoid(margin) + self.recipe.chosen_weight * policy[0] / tokens
        return (loss, {"margin": margin.detach()}) if return_outputs else loss

    def _nll(self, model: PeftModel, row: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the negative log-likelihood of an answer, in nats."""
        row = {name: tensor.to(self.args.device) for name, tensor in row.items()}
        one = torch.ones((), device=self.args.device)
        return completion_loss(model, row, one, self.vocabulary)


def activate(model: PeftModel, persona: str, update: bool) -> None:
    """Let the model answer as a persona, with or without the update; only the update is trained."""
    model.base_model.set_adapter([persona, UPDATE] if update else [persona])
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(f".{UPDATE}." in name)


def train_preference(
    recipe: PreferenceRecipe, adapters: Path, labels: Sequence[Path], run: Path
) -> list[Path]:
    """Train the stage and return the folders of six adapters.

    It takes some minutes: an interrupted run starts again.

    Args:
        recipe: settings of the run.
        adapters: folder of the six adapters whose answers were marked.
        labels: files of those answers with the marks of readers.
        run: folder of the run.

    Raises:
        ManifestError: an adapter is missing.
        ReadingError: a file of labels cannot be read.
        RecipeError: the run was started with another recipe or other data.
    """
    refuse_launcher("one process trains it in half an hour")
    quiet_libraries()
    found = preferences(read_labels(labels), recipe.per_message, recipe.seed)
    starts = {str(name): AdapterManifest.read(adapters / name).content_hash for name in LABELS}
    data_hash = json_sha256([[x.persona, x.message, x.chosen, x.rejected] for x in found])
    open_run(run, recipe, {"preferences": data_hash, **starts})
    set_seed(recipe.seed)
    prepare_machine(recipe.threads)
    base = materialize(recipe.base, console.print)
    model = load_model(recipe, base, adapters)
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    rows = PreferenceRows(found, encoder, recipe.max_tokens)
    trainer = _make_trainer(model, rows, recipe, run)
    console.print(f"{len(rows)} preferences, base {base.name}")
    trainer.train()
    write_results(run, trainer.state.log_history, {"preferences": float(len(rows))})
    tensors = get_peft_model_state_dict(model, adapter_name=UPDATE)
    update = Update(tensors, recipe.lora_alpha / recipe.lora_rank, data_hash)
    return [export(adapters / name, update, run / name / "adapter") for name in LABELS]


def load_model(recipe: PreferenceRecipe, base: Materialized, adapters: Path) -> PeftModel:
    """Load the base weights with the six adapters, frozen, and a new update."""
    causal = AutoModelForCausalLM.from_pretrained(
        base.folder, dtype=torch.bfloat16, attn_implementation=attention_of(base.folder)
    ).to(training_dtype())
    first, *others = LABELS
    model = PeftModel.from_pretrained(causal, adapters / first, adapter_name=str(first))
    for persona in others:
        model.load_adapter(adapters / persona, adapter_name=str(persona))
    modules = AdapterManifest.read(adapters / first).target_modules
    model.add_adapter(
        UPDATE,
        LoraConfig(
            r=recipe.lora_rank,
            lora_alpha=recipe.lora_alpha,
            target_modules=list(modules),
            task_type="CAUSAL_LM",
        ),
    )
    activate(model, str(first), update=True)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # small steps of AdamW are lost in bf16
    return model


def _make_trainer(
    model: PeftModel, rows: PreferenceRows, recipe: PreferenceRecipe, run: Path
) -> PreferenceTrainer:
    trainer = PreferenceTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(run),
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=recipe.warmup_steps,
            weight_decay=0.0,
            bf16=training_dtype() is torch.bfloat16,
            use_cpu=not has_gpu(),
            seed=recipe.seed,
            logging_steps=5,
            save_strategy="no",
            remove_unused_columns=False,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=rows,
        data_collator=lambda batch: {"row": batch[0]},
        callbacks=[ProgressLine("preference")],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.recipe = recipe
    trainer.model_accepts_loss_kwargs = False  # each preference counts the same
    trainer.vocabulary = None if has_gpu() else _vocabulary(model, rows, recipe)
    return trainer


def _vocabulary(model: PeftModel, rows: PreferenceRows, recipe: PreferenceRecipe) -> torch.Tensor:
    """Choose the tokens of the softmax on a CPU: those of the data, and the likeliest."""
    batches = [each for row in rows.rows for each in (row.chosen, row.rejected)]
    used = {token for batch in batches for token in batch["labels"][0].tolist()} - {IGNORED}
    sample = batches[:: max(len(batches) // VOCABULARY_ROWS, 1)]
    return select_vocabulary(model, sample, used, recipe.vocabulary)[0]


def export(start: Path, update: Update, out: Path) -> Path:
    """Write the adapter in `start` with the update joined to it, and its manifest."""
    manifest = AdapterManifest.read(start)
    own = load_file(start / ADAPTER_WEIGHTS)
    scales = manifest.alpha / manifest.rank, update.scale
    joined, lost = join_updates(own, update.tensors, scales, manifest.rank)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copyfile(start / ADAPTER_CONFIG, out / ADAPTER_CONFIG)
    tensors = {name: tensor.bfloat16().contiguous() for name, tensor in joined.items()}
    save_file(tensors, out / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    manifest.model_copy(
        update={
            "content_hash": adapter_hash(out),
            "training_data_hash": json_sha256([manifest.training_data_hash, update.data_hash]),
            "metrics": manifest.metrics | {"lost_by_reduction": round(lost, 6)},
        }
    ).write(out)
    return out
