"""Trains the six persona adapters, with whichever backend the recipe and the machine allow.

    all pairs -> one shared LoRA (how a friend answers) -> per persona: continue on its own pairs -> PEFT folder + manifest

The shared stage is what lets a few hundred pairs a persona do: a pretrained model first has to learn to answer at all.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import set_seed
from transformers.trainer_utils import get_last_checkpoint

from models.emotions import LABELS, Emotion
from models.manifest import ADAPTER_WEIGHTS, MANIFEST_FILE, AdapterManifest, adapter_hash
from models.prompt import PROMPT_VERSION
from models.weights.cache import Materialized, materialize
from training.datasets.dedup import check_leaks
from training.datasets.persona_pairs import data_hash, pairs
from training.personas.trainer import make_trainer
from training.recipe import PersonaRecipe
from training.runs.folder import open_run, write_results
from training.runs.progress import Report, console, quiet_libraries

LEAK_JACCARD = 0.8


def train_personas(recipe: PersonaRecipe, run: Path, chosen: Sequence[Emotion] = LABELS) -> list[Path]:
    """Trains the shared stage, then the chosen personas one after the other; what a killed run finished is kept. Returns their folders."""
    open_personas_run(recipe, run)
    train_shared(recipe, run)
    return [train_persona(recipe, run, persona) for persona in chosen]


def open_personas_run(recipe: PersonaRecipe, run: Path) -> None:
    """Writes what decides the run. Raises LeakError if a held-out message, or one alike, is trained on."""
    quiet_libraries()
    for persona in LABELS:
        held_out = [pair.message for pair in pairs(persona, held_out=True)]
        check_leaks((pair.message for pair in pairs(persona, held_out=False)), {f"{persona}, held out": held_out}, LEAK_JACCARD)
    open_run(run, recipe, {persona: data_hash(pairs(persona, held_out=False)) for persona in LABELS})


def train_shared(recipe: PersonaRecipe, run: Path, report: Report | None = None) -> None:
    """The stage that all personas share; nothing to do where the recipe has none or it is done. `report` takes the steps, else lines."""
    if recipe.shared_epochs and not (run / "shared" / "adapter" / ADAPTER_WEIGHTS).exists():
        _stage("shared", list(LABELS), recipe, None, run / "shared", report)


def train_persona(recipe: PersonaRecipe, run: Path, persona: Emotion, report: Report | None = None) -> Path:
    """A persona's own stage, after the shared one. Returns the adapter's folder. `report` takes the steps, else lines."""
    out = run / persona / "adapter"
    if not (out / MANIFEST_FILE).exists():
        start = run / "shared" / "adapter" if recipe.shared_epochs else None
        metrics = _stage(persona, [persona], recipe, start, run / persona, report)
        _manifest(persona, materialize(recipe.base), recipe, out, metrics).write(out)
    return out


def _stage(
    title: str, who: Sequence[Emotion], recipe: PersonaRecipe, start: Path | None, run: Path, report: Report | None
) -> dict[str, float]:
    """One fine-tuning: from a new adapter or from `start`. Writes `run/adapter` and returns the metrics."""
    set_seed(recipe.seed)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    base = materialize(recipe.base, console.print)
    trainer = make_trainer(title, who, recipe, base, start, run, report)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run)) if run.is_dir() else None)
    held_out = float(len(trainer.eval_dataset))
    metrics = {"held_out_nll": round(trainer.evaluate()["eval_loss"], 4), "held_out_pairs": held_out}
    save_adapter(trainer.model, base, run / "adapter")
    write_results(run, trainer.state.log_history, metrics)
    return metrics


def save_adapter(model: PeftModel, base: Materialized, out: Path) -> None:
    """A PEFT folder in bf16 that names the true base weights, whatever the backend wrote there."""
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
        rank=recipe.lora_rank,
        alpha=recipe.lora_alpha,
        target_modules=recipe.lora_modules,
        prompt_version=PROMPT_VERSION,
        training_data_hash=data_hash(pairs(persona, held_out=False)),
        metrics=metrics,
    )
