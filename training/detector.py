"""Fine-tunes a BERT-like encoder into the detector, and exports the tensors in which it differs from its base.

    corpora -> mix -> Trainer -> temperature on the validation split -> overlay + manifest

The word embeddings stay frozen: an overlay then weighs half of the model, and words that the data never shows keep their meaning.
"""

import random
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from torch.utils.data import Dataset
from transformers import DataCollatorWithPadding, PreTrainedModel, Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from models.classifier import Classifier, blank_model, load_tokenizer
from models.hashing import file_sha256, json_sha256
from models.manifest import DETECTOR_WEIGHTS, DetectorManifest
from models.materialize import Materialized, materialize
from training import corpora
from training.corpora import Example
from training.measures import fit_temperature, scores
from training.progress import ProgressLine, console, quiet_libraries, write_run


class DetectorRecipe(BaseModel):
    """Everything that decides a run. `unsplit_rows` are drawn at random from the larger, noisier set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = "minilm-l6"
    seed: int = 0
    epochs: float = Field(default=2, gt=0)
    batch_size: int = 32
    learning_rate: float = 1e-4
    max_tokens: int = 128
    label_smoothing: float = 0.05
    unsplit_rows: int = 20_000
    ordinary_repeats: int = 3
    threads: int | None = None


class _Rows(Dataset[dict[str, object]]):
    """Tokenised examples; `length` lets the trainer group rows of similar length."""

    def __init__(self, examples: list[Example], base: Path, max_tokens: int) -> None:
        encoded = load_tokenizer(base)([example.text for example in examples], truncation=True, max_length=max_tokens)
        self.ids, self.labels = encoded["input_ids"], [example.label for example in examples]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"input_ids": self.ids[index], "labels": self.labels[index], "length": len(self.ids[index])}


def train_detector(recipe: DetectorRecipe, data: Path | None, run: Path, resume: bool = True) -> Path:
    """Trains, and returns the artefact's folder inside `run`. `data` is the folder of the public sets, None for the hub."""
    quiet_libraries()
    set_seed(recipe.seed)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    base = materialize(recipe.base, console.print)
    examples = training_examples(recipe, data)
    console.print(f"{len(examples)} training rows, base {base.name}")
    model = _frozen_embeddings(blank_model(base.folder))
    trainer = _trainer(model, _Rows(examples, base.folder, recipe.max_tokens), base, recipe, run)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run)) if resume and run.is_dir() else None)
    artifact = _export(model, base, recipe, data, json_sha256([[e.text, e.label] for e in examples]), run / "artifact")
    write_run(run, trainer.state.log_history, DetectorManifest.read(artifact).metrics)
    return artifact


def training_examples(recipe: DetectorRecipe, data: Path | None) -> list[Example]:
    """The mix, shuffled: no row stands in an evaluation split, none carries two labels."""
    draw = random.Random(recipe.seed)
    evaluation = [corpora.emotion("val", data), corpora.emotion("test", data), corpora.ordinary(held_out=True)]
    evaluation.append(corpora.goemotions("dev", data, corpora.GOEMOTIONS_BROAD))
    unsplit = corpora.emotion_unsplit(data)
    public = corpora.emotion("train", data) + draw.sample(unsplit, min(recipe.unsplit_rows, len(unsplit)))
    public += corpora.goemotions("train", data, corpora.GOEMOTIONS_BROAD)
    own = corpora.without(corpora.ordinary(held_out=False), *evaluation)
    mixed = corpora.without(public, *evaluation, own) + own * recipe.ordinary_repeats
    draw.shuffle(mixed)
    return mixed


def _frozen_embeddings(model: PreTrainedModel) -> PreTrainedModel:
    model.get_input_embeddings().weight.requires_grad_(False)
    return model


def _trainer(model: PreTrainedModel, rows: _Rows, base: Materialized, recipe: DetectorRecipe, run: Path) -> Trainer:
    arguments = TrainingArguments(
        output_dir=str(run),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=200,
        weight_decay=0.01,
        label_smoothing_factor=recipe.label_smoothing,
        train_sampling_strategy="group_by_length",
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        seed=recipe.seed,
        logging_steps=50,
        save_steps=500,
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
    )
    collate = DataCollatorWithPadding(load_tokenizer(base.folder))
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate, callbacks=[ProgressLine("detector")])
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


def _export(model: PreTrainedModel, base: Materialized, recipe: DetectorRecipe, data: Path | None, data_hash: str, out: Path) -> Path:
    """Writes overlay and manifest, then loads them back: temperature and metrics are those of what ships."""
    out.mkdir(parents=True, exist_ok=True)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    tensors = {k: v.to(torch.bfloat16).contiguous() for k, v in model.state_dict().items() if k not in frozen and v.is_floating_point()}
    save_file(tensors, out / DETECTOR_WEIGHTS, metadata={"format": "pt"})
    manifest = DetectorManifest(
        content_hash=file_sha256(out / DETECTOR_WEIGHTS),
        base=base.name,
        base_hash=base.sha256,
        training_data_hash=data_hash,
        max_tokens=recipe.max_tokens,
        temperature=1.0,
        metrics={},
    )
    manifest.write(out)
    validation = corpora.emotion("val", data)
    logits = Classifier(out).all_logits([example.text for example in validation])
    labels = [example.label for example in validation]
    temperature = fit_temperature(logits, labels)
    metrics = {f"emotion_val_{name}": value for name, value in scores(logits / temperature, labels).items()}
    manifest.model_copy(update={"temperature": temperature, "metrics": metrics}).write(out)
    return out
