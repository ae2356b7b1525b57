"""Train on Ray: personas in parallel tasks, or one detector on several workers.

    personas: shared stage -> one task per persona, with the CPUs and GPUs of the recipe
              -> the adapters of a serial run
    detector: TorchTrainer -> `recipe.workers` data-parallel processes -> one artefact

By default Ray runs on this machine only, listens on loopback and stops at the end. If the variable
RAY_ADDRESS names a cluster, the run, the data, the adapter to start from and base weights given by
path must be on storage that all nodes share, and FYE_CACHE and HF_TOKEN must be set on the nodes.

This module imports nothing heavy at module level: a task's process must be able to import Unsloth
before anything else.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from models.emotions import LABELS, Emotion
from training.jobs.ray_runtime import open_ray, start_board, step_reporter, wait_for_tasks
from training.personas.unsloth import import_unsloth
from training.recipe import DetectorRecipe, PersonaRecipe

if TYPE_CHECKING:
    from transformers import Trainer

SHARED = "shared"


def train_personas_parallel(
    recipe: PersonaRecipe, run: Path, chosen: Sequence[Emotion] = LABELS
) -> list[Path]:
    """Train one persona per Ray task, and return the folders of the adapters.

    A resumed run keeps the personas that are finished. A persona that fails does not stop the
    others. Raises RecipeError, LeakError, and, when all tasks have ended, TrainingError with the
    personas that failed and the reasons.
    """
    from training.personas.train import open_personas_run
    from training.runs.progress import ProgressTable

    run = run.resolve()
    personas = list(dict.fromkeys(chosen))
    shared = {SHARED: "all six"} if recipe.shared_epochs else {}
    rows: dict[str, str] = {**shared, **dict.fromkeys(map(str, personas), "own")}
    open_personas_run(recipe, run)
    with open_ray(recipe, workers=1) as ray, ProgressTable(rows) as table:
        resources = {"num_cpus": recipe.worker_cpus, "num_gpus": recipe.worker_gpus}
        task = ray.remote(**resources, max_calls=1, max_retries=0)(_train_stage_task)
        board = start_board(ray)
        start = recipe.start and str(Path(recipe.start).resolve())
        resolved = recipe.model_copy(update={"start": start})
        for titles in (list(shared), personas):
            tasks = {title: task.remote(resolved, run, title, board) for title in titles}
            wait_for_tasks(tasks, board, table)
    return [run / persona / "adapter" for persona in chosen]


def train_detector_distributed(recipe: DetectorRecipe, data: Path | None, run: Path) -> Path:
    """Train a detector on several workers, and return the folder of the artefact.

    Every worker calls `train_detector`; an epoch has 1/workers of the steps. Raises RecipeError,
    and TrainingError with the reason of the first worker that failed.
    """
    from training.runs.progress import ProgressTable

    run = run.resolve()
    data = data and data.resolve()
    title: str = recipe.part
    rows = {title: f"{recipe.workers} workers"}
    with open_ray(recipe, recipe.workers) as ray, ProgressTable(rows) as table:
        board = start_board(ray)
        task = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(_train_detector_task)
        wait_for_tasks({title: task.remote(recipe, data, run, board)}, board, table)
    return run / "artifact"


def _train_stage_task(recipe: PersonaRecipe, run: Path, title: Any, board: Any) -> str:
    """Train the shared stage or one persona, in the process of a task. Returns its measure."""
    import_unsloth(recipe)
    from training.personas.train import train_persona, train_shared
    from training.runs.progress import quiet_libraries

    quiet_libraries()
    report = step_reporter(board, title)
    report(None)
    if title == SHARED:
        train_shared(recipe, run, report)
    else:
        train_persona(recipe, run, title, report)
    return _measure(run / title, "held_out_nll", "NLL")


def _measure(folder: Path, metric: str, name: str) -> str:
    file = folder / "metrics.json"
    if not file.exists():
        return ""
    metrics = json.loads(file.read_text("utf-8"))["metrics"]
    return f"{name} {metrics[metric]:.3f}"


def _train_detector_task(recipe: DetectorRecipe, data: Path | None, run: Path, board: Any) -> str:
    """Start the workers and wait for them, in the process of a task. Returns the measure."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    resources = {"CPU": recipe.worker_cpus, "GPU": recipe.worker_gpus}
    trainer = TorchTrainer(
        _train_on_worker,
        train_loop_config={"recipe": recipe, "data": data, "run": run, "board": board},
        scaling_config=ScalingConfig(
            num_workers=recipe.workers,
            use_gpu=recipe.worker_gpus > 0,
            resources_per_worker={kind: amount for kind, amount in resources.items() if amount},
        ),
        run_config=RunConfig(name="ray", storage_path=str(run)),
    )
    trainer.fit()
    return _measure(run, "emotion_val_macro_f1", "macro-F1")


def _train_on_worker(config: dict[str, Any]) -> None:
    """Train in a worker of the TorchTrainer, inside its torch.distributed group.

    Only rank 0 opens the run and writes its results. The others work in a temporary folder, in
    which a link leads to the checkpoint to resume from.
    """
    from ray.train import get_context
    from transformers.trainer_utils import get_last_checkpoint

    from training.detector.train import train_detector

    run = config["run"]
    is_leader = get_context().get_world_rank() == 0

    def prepare(trainer: "Trainer") -> "Trainer":
        return _prepare_trainer(trainer, config, is_leader)

    with TemporaryDirectory() as scratch:
        checkpoint = get_last_checkpoint(str(run)) if run.is_dir() else None
        if checkpoint:
            (Path(scratch) / Path(checkpoint).name).symlink_to(checkpoint)
        folder = run if is_leader else Path(scratch)
        train_detector(config["recipe"], config["data"], folder, prepare)


def _prepare_trainer(trainer: "Trainer", config: dict[str, Any], is_leader: bool) -> "Trainer":
    """Fit a trainer to its worker: progress of the leader, and the folder of the random states."""
    from ray.train.huggingface.transformers import prepare_trainer

    from training.runs.progress import ProgressLine

    title = config["recipe"].part
    trainer.remove_callback(ProgressLine)
    if is_leader:
        trainer.add_callback(ProgressLine(title, step_reporter(config["board"], title)))
    # Each rank saves its random state here.
    trainer.args.output_dir = str(config["run"])
    return prepare_trainer(trainer)
