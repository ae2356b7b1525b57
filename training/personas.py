"""Trains the six persona adapters with PEFT and TRL, anywhere.

    all pairs -> one shared LoRA (how a friend answers) -> per persona: continue on its own pairs -> PEFT folder + manifest

The shared stage is what lets 240 pairs a persona do: a pretrained model first has to learn to answer at all.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed
from transformers.trainer_utils import get_last_checkpoint
from trl import SFTConfig

from models.emotions import LABELS, Emotion
from models.manifest import ADAPTER_WEIGHTS, MANIFEST_FILE, AdapterManifest, adapter_hash
from models.materialize import Materialized, materialize
from models.personas import personas
from models.prompt import PROMPT_VERSION, PromptEncoder, Turn
from training.persona_data import Pair, data_hash, pairs
from training.progress import ProgressLine, console, quiet_libraries
from training.run_folder import write_results
from training.sft import AnywhereSFTTrainer, considered_vocabulary

TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class PersonaRecipe(BaseModel):
    """Everything that decides a run. Learning rates follow a cosine; the shared stage sees all personas' pairs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str = "gemma-3-270m"
    seed: int = 0
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    batch_size: int = 8
    shared_epochs: float = 1.5
    shared_learning_rate: float = 4e-4
    epochs: float = 1
    learning_rate: float = 2e-4
    vocabulary: int | None = 24_576
    threads: int | None = None


def train_personas(recipe: PersonaRecipe, run: Path, chosen: Sequence[Emotion] = LABELS) -> list[Path]:
    """Trains the shared stage and the chosen personas; what an earlier, killed run finished is kept. Returns artefact folders."""
    quiet_libraries()
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    base = materialize(recipe.base, console.print)
    shared = run / "shared" / "adapter"
    if recipe.shared_epochs and not (shared / ADAPTER_WEIGHTS).exists():
        _stage("shared", list(LABELS), base, recipe, None, run / "shared")
    artifacts = []
    for persona in chosen:
        out = run / persona / "adapter"
        if not (out / MANIFEST_FILE).exists():
            metrics = _stage(persona, [persona], base, recipe, shared if recipe.shared_epochs else None, run / persona)
            _manifest(persona, base, recipe, out, metrics).write(out)
        artifacts.append(out)
    return artifacts


def _stage(
    title: str, who: Sequence[Emotion], base: Materialized, recipe: PersonaRecipe, start: Path | None, run: Path
) -> dict[str, float]:
    """One fine-tuning: from a new adapter or from `start`. Writes `run/adapter` and returns the metrics."""
    set_seed(recipe.seed)
    model = _model(base, recipe, start)
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    train, held_out = (_rows(encoder, who, held) for held in (False, True))
    held_out = held_out.select(range(0, len(held_out), len(who)))  # as many for the shared stage as for one persona
    trainer = AnywhereSFTTrainer(
        model=model,
        args=_arguments(recipe, run, shared=len(who) > 1),
        train_dataset=train,
        eval_dataset=held_out,
        processing_class=AutoTokenizer.from_pretrained(base.folder),
        callbacks=[ProgressLine(title)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.vocabulary = _vocabulary(trainer, recipe)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run)) if run.is_dir() else None)
    metrics = {"held_out_nll": round(trainer.evaluate()["eval_loss"], 4), "held_out_pairs": float(len(held_out))}
    _save(model, base, run / "adapter")
    write_results(run, trainer.state.log_history, metrics)
    return metrics


def _model(base: Materialized, recipe: PersonaRecipe, start: Path | None) -> PeftModel:
    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.bfloat16)
    if start is not None:
        return PeftModel.from_pretrained(model, start, is_trainable=True)
    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(TARGET_MODULES),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


def _rows(encoder: PromptEncoder, who: Sequence[Emotion], held_out: bool) -> Dataset:
    """Token ids and the mask of the answer: the loss is taken there alone."""
    rows = [_row(encoder, persona, pair) for persona in who for pair in pairs(persona, held_out)]
    return Dataset.from_list(rows)


def _row(encoder: PromptEncoder, persona: Emotion, pair: Pair) -> dict[str, list[int]]:
    prompt = encoder.prompt(personas()[persona].name, [Turn("user", pair.message)])
    answer = encoder.completion(pair.answer)
    return {"input_ids": prompt + answer, "completion_mask": [0] * len(prompt) + [1] * len(answer)}


def _vocabulary(trainer: AnywhereSFTTrainer, recipe: PersonaRecipe) -> torch.Tensor | None:
    """On a CPU the training softmax runs over `recipe.vocabulary` tokens, chosen from the data and from the untrained model."""
    if recipe.vocabulary is None or torch.cuda.is_available():
        return None
    rows = trainer.train_dataset
    sample = [trainer.data_collator([rows[i] for i in range(start, len(rows), len(rows) // 8)][:8]) for start in range(4)]
    labels = {token for row in rows["labels"] for token in row if token != -100}
    with trainer.model.disable_adapter():
        chosen, share = considered_vocabulary(trainer.model, sample, labels, recipe.vocabulary)
    console.print(f"{len(chosen)} of the tokens hold {share:.2%} of the probability; the training loss is over those")
    return chosen


def _arguments(recipe: PersonaRecipe, run: Path, shared: bool) -> SFTConfig:
    return SFTConfig(
        output_dir=str(run),
        num_train_epochs=recipe.shared_epochs if shared else recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        learning_rate=recipe.shared_learning_rate if shared else recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=10,
        completion_only_loss=True,
        max_length=256,
        train_sampling_strategy="group_by_length",
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        eval_strategy="epoch",
        save_strategy="steps",
        save_steps=20,
        save_total_limit=1,
        logging_steps=10,
        seed=recipe.seed,
        report_to=[],
        disable_tqdm=True,
    )


def _save(model: PeftModel, base: Materialized, out: Path) -> None:
    """A PEFT folder in bf16 that names the true base weights, not the folder they were read from."""
    model.peft_config["default"].base_model_name_or_path = base.name
    model.save_pretrained(out, save_embedding_layers=False)
    file = out / ADAPTER_WEIGHTS
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    (out / "README.md").unlink(missing_ok=True)


def _manifest(persona: Emotion, base: Materialized, recipe: PersonaRecipe, out: Path, metrics: dict[str, float]) -> AdapterManifest:
    return AdapterManifest(
        name=persona,
        persona=persona,
        content_hash=adapter_hash(out),
        base=base.name,
        base_hash=base.sha256,
        rank=recipe.rank,
        alpha=recipe.alpha,
        target_modules=TARGET_MODULES,
        prompt_version=PROMPT_VERSION,
        training_data_hash=data_hash(pairs(persona, held_out=False)),
        metrics=metrics,
    )
