"""Training of the critic: all weights of a small encoder but its word embeddings, and a head.

recipe -> rows -> Trainer -> tensors that changed -> measures -> artefact and manifest
"""

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file
from torch.utils.data import Dataset
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from models.critic import blank_critic, encode, load_critic
from models.emotions import Emotion
from models.encoder.rows import quantize_rows
from models.hashing import file_sha256, json_sha256
from models.machine.precision import has_gpu
from models.manifest import DETECTOR_WEIGHTS, CriticManifest
from models.weights.cache import Materialized, materialize
from training.critic.evaluate import critic_metrics
from training.critic.rows import Row, contrast_rows, read_rows, written_rows
from training.datasets.contrasts import load_contrasts
from training.datasets.persona_pairs import Pair, training_pairs
from training.datasets.read_labels import is_held_out, read_labels
from training.recipe import CriticRecipe
from training.runs.folder import open_run, write_results
from training.runs.machine import prepare_machine
from training.runs.progress import ProgressLine, console, quiet_libraries


class CriticRows(Dataset[dict[str, object]]):
    """Tokenized rows with their lengths, by which the trainer groups them."""

    def __init__(self, rows: Sequence[Row], base: Path, max_tokens: int) -> None:
        """Tokenize the rows with the tokenizer of `base`."""
        pairs = [(row.conversation, row.answer) for row in rows]
        self.encoded = encode(AutoTokenizer.from_pretrained(base), pairs, max_tokens)
        self.targets = [row.target for row in rows]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> dict[str, object]:
        row = {name: values[index] for name, values in self.encoded.items()}
        return {**row, "labels": [self.targets[index]], "length": len(row["input_ids"])}


def train_critic(
    recipe: CriticRecipe, labels: Sequence[Path], run: Path, start: Path | None = None
) -> Path:
    """Train a critic, or resume an interrupted run, and return the artefact's folder.

    Args:
        recipe: settings of the run.
        labels: files of answers that readers marked; a third of the messages is held out.
        run: folder of the run; it gets checkpoints, results and the artefact.
        start: critic from which training goes on; None: the base weights with a new head.

    Raises:
        ManifestError: `start` does not match its manifest or has other base weights.
        ReadingError: a file of labels cannot be read.
        RecipeError: the run was started with another recipe or other data.
    """
    quiet_libraries()
    labelled = read_labels(labels)
    rows = training_rows(recipe) + read_rows(labelled, recipe.label_repeats)
    data_hash = json_sha256([[row.conversation, row.answer, row.target] for row in rows])
    first = CriticManifest.read(start) if start else None
    open_run(run, recipe, {"training": data_hash, "start": first.content_hash if first else ""})
    set_seed(recipe.seed)
    prepare_machine(recipe.threads)
    base = materialize(recipe.base, console.print)
    model = load_critic(first, start, base) if first and start else blank_critic(base.folder)
    model.get_input_embeddings().weight.requires_grad_(False)
    trainer = _make_trainer(model, CriticRows(rows, base.folder, recipe.max_tokens), recipe, run)
    console.print(f"{len(rows)} training rows, base {base.name}")
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run)))
    manifest = export(model, base, recipe, data_hash, run / "artifact")
    metrics = critic_metrics(run / "artifact", labelled)
    manifest.model_copy(update={"metrics": metrics}).write(run / "artifact")
    write_results(run, trainer.state.log_history, metrics)
    return run / "artifact"


def training_rows(recipe: CriticRecipe) -> list[Row]:
    """Return the rows of written pairs that the recipe names."""

    def pairs_of(persona: Emotion) -> list[Pair]:
        # A held-out contrast shows the right answer of a pair: the critic must not know it.
        pairs = training_pairs(persona, recipe.pair_set)
        return [pair for pair in pairs if not is_held_out(pair.message)]

    rows = written_rows(pairs_of, recipe.wrong_answers, recipe.pairs, recipe.seed)
    contrasts = [each for each in load_contrasts() if not each.is_held_out]
    return rows + contrast_rows(contrasts, recipe.contrast_repeats)


def export(
    model: PreTrainedModel, base: Materialized, recipe: CriticRecipe, data_hash: str, out: Path
) -> CriticManifest:
    """Write the trained tensors in 8-bit rows, and their manifest without metrics."""
    out.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    save_file(quantize_rows(tensors), out / DETECTOR_WEIGHTS, metadata={"format": "pt"})
    manifest = CriticManifest(
        content_hash=file_sha256(out / DETECTOR_WEIGHTS),
        base=base.name,
        base_hash=base.sha256,
        training_data_hash=data_hash,
        max_tokens=recipe.max_tokens,
        metrics={},
    )
    manifest.write(out)
    return manifest


def _make_trainer(
    model: PreTrainedModel, rows: CriticRows, recipe: CriticRecipe, run: Path
) -> Trainer:
    tokenizer = AutoTokenizer.from_pretrained(materialize(recipe.base).folder)
    trainer = Trainer(
        model=model,
        args=_arguments(recipe, run),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[ProgressLine("critic")],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(recipe: CriticRecipe, run: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(run),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        train_sampling_strategy="group_by_length",
        use_cpu=not has_gpu(),
        seed=recipe.seed,
        logging_steps=25,
        save_steps=recipe.save_steps,
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
    )
