"""Training of the persona adapters: a shared stage, then a stage for each persona.

    all pairs -> shared LoRA (how to answer at all) -> per persona: continue on its own pairs
              -> PEFT folder and manifest

A pretrained model first has to learn to answer at all. Because the shared stage teaches that, a
few hundred pairs per persona are enough.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import set_seed
from transformers.trainer_utils import get_last_checkpoint

from models.emotions import LABELS, Emotion
from models.machine.memory import trim_heap
from models.manifest import ADAPTER_WEIGHTS, MANIFEST_FILE, AdapterManifest, adapter_hash
from models.prompt import PROMPT_VERSION
from models.weights.cache import Materialized, materialize
from models.weights.catalog import find_weights
from training.datasets.dedup import check_leaks
from training.datasets.persona_pairs import data_hash, held_out_pairs, training_pairs
from training.errors import BackendError
from training.personas.backends import choose_backend
from training.personas.trainer import TrainingStage, make_trainer
from training.recipe import PersonaRecipe
from training.runs.folder import RESULTS_FILE, open_run, write_results
from training.runs.machine import prepare_machine, refuse_launcher
from training.runs.progress import ReportStep, console, quiet_libraries

LEAK_JACCARD = 0.8


def train_personas(
    recipe: PersonaRecipe, run: Path, chosen: Sequence[Emotion] = LABELS
) -> list[Path]:
    """Train the shared stage, then the chosen personas in turn.

    Stages that an interrupted run has finished are kept. Returns the folders of the adapters.
    Raises LeakError, and BackendError if this machine cannot run the recipe's backend.
    """
    choose_backend(recipe)  # before any work
    open_personas_run(recipe, run)
    train_shared(recipe, run)
    return [train_persona(recipe, run, persona) for persona in chosen]


def open_personas_run(recipe: PersonaRecipe, run: Path) -> None:
    """Check the data for leaks and write the record of the run.

    Raises LeakError if a held-out message, or a near-duplicate of one, is in the training data,
    and BackendError if the adapter to start from is missing or a launcher started this process.
    """
    refuse_launcher("--parallel trains the personas on several GPUs")
    quiet_libraries()
    training = {persona: training_pairs(persona, recipe.pairs) for persona in LABELS}
    for persona, pairs in training.items():
        held_out = [pair.message for pair in held_out_pairs(persona)]
        messages = (message for pair in pairs for message in pair.messages)
        check_leaks(messages, {f"{persona}, held out": held_out}, LEAK_JACCARD)
    hashes: dict[str, str] = {persona: data_hash(pairs) for persona, pairs in training.items()}
    if recipe.start:
        hashes["start"] = start_hash(Path(recipe.start), recipe)
    open_run(run, recipe, hashes)


def start_hash(start: Path, recipe: PersonaRecipe) -> str:
    """Return the content hash of the adapter to start from.

    Raises BackendError if there is none, or if it has another base, rank or scale than the recipe:
    its matrices would mean something else.
    """
    if not all((start / name).exists() for name in (ADAPTER_WEIGHTS, "adapter_config.json")):
        raise BackendError(
            f"there is no adapter in {start}, from which the shared stage starts: train it first, "
            "or set `start` to another folder"
        )
    config = json.loads((start / "adapter_config.json").read_text("utf-8"))
    expected = {
        "base_model_name_or_path": find_weights(recipe.base).name,
        "r": recipe.lora_rank,
        "lora_alpha": recipe.lora_alpha,
        "use_rslora": False,
    }
    found = {name: config.get(name, False) for name in expected}
    if found != expected:
        raise BackendError(
            f"the adapter in {start} does not fit the recipe: it has {found}, expected {expected}; "
            "set `start` to an adapter of the same base, rank and alpha"
        )
    return adapter_hash(start)


def train_shared(recipe: PersonaRecipe, run: Path, report: ReportStep | None = None) -> None:
    """Train the stage that all personas share, unless it is done or the recipe has none.

    `report` receives the progress; without it, lines are printed.
    """
    done = (run / "shared" / RESULTS_FILE).exists()  # written after the adapter
    if recipe.shared_epochs and not done:
        start = Path(recipe.start) if recipe.start else None
        _train_stage(TrainingStage("shared", LABELS, start), recipe, run / "shared", report)


def train_persona(
    recipe: PersonaRecipe, run: Path, persona: Emotion, report: ReportStep | None = None
) -> Path:
    """Train the stage of one persona, after the shared one, and return the adapter's folder.

    `report` receives the progress; without it, lines are printed.
    """
    out = run / persona / "adapter"
    if not (out / MANIFEST_FILE).exists():
        start = run / "shared" / "adapter" if recipe.shared_epochs else None
        stage = TrainingStage(persona, (persona,), start)
        metrics = _train_stage(stage, recipe, run / persona, report)
        adapter_manifest(persona, materialize(recipe.base), recipe, out, metrics).write(out)
    return out


def _train_stage(
    stage: TrainingStage, recipe: PersonaRecipe, run: Path, report: ReportStep | None
) -> dict[str, float]:
    """Run one fine-tuning in this process, and release its memory at the end."""
    try:
        return _run_stage(stage, recipe, run, report)
    finally:
        trim_heap()  # the trainer and its model hold each other


def _run_stage(
    stage: TrainingStage, recipe: PersonaRecipe, run: Path, report: ReportStep | None
) -> dict[str, float]:
    """Write `run/adapter` and the results, and return the metrics."""
    set_seed(recipe.seed)
    prepare_machine(recipe.threads)
    base = materialize(recipe.base, console.print)
    trainer = make_trainer(stage, recipe, base, run, report)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run)) if run.is_dir() else None)
    metrics = {
        "held_out_nll": round(trainer.evaluate()["eval_loss"], 4),
        "held_out_pairs": float(len(trainer.eval_dataset)),
    }
    save_adapter(trainer.model, base, run / "adapter")
    write_results(run, trainer.state.log_history, metrics)
    return metrics


def save_adapter(model: PeftModel, base: Materialized, out: Path) -> None:
    """Write a PEFT folder in bf16 that names the base weights.

    A backend may have loaded a copy of the base under another name, so the name is set here. The
    folder is absent or complete, also after an interruption.
    """
    model.peft_config["default"].base_model_name_or_path = base.name
    new = out.with_name(f"{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    model.save_pretrained(new, save_embedding_layers=False)
    file = new / ADAPTER_WEIGHTS
    tensors = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(file).items()}
    save_file(tensors, file, metadata={"format": "pt"})
    (new / "README.md").unlink(missing_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    new.rename(out)


def adapter_manifest(
    persona: Emotion,
    base: Materialized,
    recipe: PersonaRecipe,
    out: Path,
    metrics: dict[str, float],
) -> AdapterManifest:
    """Return the manifest of the adapter in `out`, whose files are complete."""
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
        training_data_hash=data_hash(training_pairs(persona, recipe.pairs)),
        metrics=metrics,
    )
