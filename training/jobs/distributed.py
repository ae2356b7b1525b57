"""Trains on Ray: the personas side by side as independent tasks, or one detector on several workers with data parallelism.

    personas: shared stage -> one task a persona, with the CPUs and GPUs that the recipe states -> the adapters of a serial run
    detector: TorchTrainer -> `recipe.workers` processes, each with its own rows of every step -> one artefact

Ray is local, on loopback, and gone afterwards. With the environment variable RAY_ADDRESS it is that cluster: then `run`, the data
and base weights given by path must lie on storage that all nodes share, and FYE_CACHE and HF_TOKEN must be set on the nodes.

Nothing heavy is imported up here: a task's process must be able to import Unsloth before anything else.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from models.emotions import LABELS, Emotion
from training.jobs.ray_runtime import follow, new_board, open_ray, reporter
from training.personas.unsloth import import_unsloth
from training.recipe import DetectorRecipe, PersonaRecipe

if TYPE_CHECKING:
    from transformers import Trainer


SHARED = "shared"


def train_personas_parallel(recipe: PersonaRecipe, run: Path, chosen: Sequence[Emotion] = LABELS) -> list[Path]:
    """The adapters' folders, as from `train_personas`. Begun again, it keeps what is finished and goes on with the rest.

    One failed persona stops no other. Raises TrainingError, when all have ended, with what failed and why; RecipeError, LeakError.
    """
    from training.personas.train import open_personas_run
    from training.runs.progress import ProgressTable

    run, personas = run.resolve(), list(dict.fromkeys(chosen))
    open_personas_run(recipe, run)
    shared = {SHARED: "all six"} if recipe.shared_epochs else {}
    with open_ray(recipe, workers=1) as ray, ProgressTable({**shared, **dict.fromkeys(personas, "own")}) as table:
        task = ray.remote(num_cpus=recipe.worker_cpus, num_gpus=recipe.worker_gpus, max_calls=1, max_retries=0)(_train_persona)
        board = new_board(ray)
        for titles in (list(shared), personas):
            follow({title: task.remote(recipe, run, title, board) for title in titles}, board, table)
    return [run / persona / "adapter" for persona in chosen]


def train_detector_distributed(recipe: DetectorRecipe, data: Path | None, run: Path) -> Path:
    """The artefact's folder, as from `train_detector`, which every worker calls: an epoch has 1/workers of the steps.

    Raises TrainingError with what the first failed worker said.
    """
    from training.runs.progress import ProgressTable

    run = run.resolve()
    with open_ray(recipe, recipe.workers) as ray, ProgressTable({recipe.part: f"{recipe.workers} workers"}) as table:
        board = new_board(ray)
        task = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(_fit_detector)
        follow({recipe.part: task.remote(recipe, data and data.resolve(), run, board)}, board, table)
    return run / "artifact"


def _train_persona(recipe: PersonaRecipe, run: Path, title: Any, board: Any) -> str:
    """In a task's process: one stage of one persona, or the shared one. Returns what it measures."""
    import_unsloth(recipe)
    from training.personas.train import train_persona, train_shared
    from training.runs.progress import quiet_libraries

    quiet_libraries()
    report = reporter(board, title)
    report(None)
    if title == SHARED:
        train_shared(recipe, run, report)
    else:
        train_persona(recipe, run, title, report)
    return _measured(run / title, "held_out_nll", "NLL")


def _measured(folder: Path, metric: str, name: str) -> str:
    file = folder / "metrics.json"
    return f"{name} {json.loads(file.read_text('utf-8'))['metrics'][metric]:.3f}" if file.exists() else ""


def _fit_detector(recipe: DetectorRecipe, data: Path | None, run: Path, board: Any) -> str:
    """In a task's process, which waits for the workers. Returns what the detector measures."""
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
    return _measured(run, "emotion_val_macro_f1", "macro-F1")


def _train_on_worker(config: dict[str, Any]) -> None:
    """In a worker of the TorchTrainer, whose torch.distributed group is there. Rank 0 alone opens the run and writes its results."""
    from ray.train import get_context
    from ray.train.huggingface.transformers import prepare_trainer
    from transformers.trainer_utils import get_last_checkpoint

    from training.detector.train import train_detector
    from training.runs.progress import ProgressLine

    recipe, run, board = config["recipe"], config["run"], config["board"]
    leads = get_context().get_world_rank() == 0

    def prepare(trainer: "Trainer") -> "Trainer":
        trainer.remove_callback(ProgressLine)
        if leads:
            trainer.add_callback(ProgressLine(recipe.part, reporter(board, recipe.part)))
        trainer.args.output_dir = str(run)  # where each rank's random state is kept
        trainer.accelerator.rng_types = ["torch"]  # one order of an epoch for all ranks; else, from the second on, they share rows
        return prepare_trainer(trainer)

    with TemporaryDirectory() as scratch:
        last = get_last_checkpoint(str(run)) if run.is_dir() else None
        if last:
            (Path(scratch) / Path(last).name).symlink_to(last)
        train_detector(recipe, config["data"], run if leads else Path(scratch), prepare)
