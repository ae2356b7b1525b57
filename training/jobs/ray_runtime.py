"""Ray for training: start or join a cluster, and follow tasks that report their progress."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from models.weights.cache import materialize
from training.errors import RecipeError, TrainingError
from training.recipe import DetectorRecipe, PersonaRecipe

if TYPE_CHECKING:
    from training.runs.progress import ProgressTable, Step

POLL_S = 0.5
LOCAL_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray's own ports listen on loopback only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
}
WORKER_ENVIRONMENT = {
    # A worker that reserves no GPU sees none, and trains on the CPU as its recipe says.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # Relative paths keep their meaning.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


class ProgressBoard:
    """Ray actor that holds the last step of each task.

    The step is None for a task that has started but made no step yet.
    """

    def __init__(self) -> None:
        self._steps: dict[str, Step | None] = {}

    def put(self, title: str, step: "Step | None") -> None:
        """Store the last step of a task."""
        self._steps[title] = step

    def steps(self) -> dict[str, "Step | None"]:
        """Return the last steps by the titles of their tasks."""
        return self._steps


def start_board(ray: Any) -> Any:
    """Start a ProgressBoard, and return its handle."""
    return ray.remote(num_cpus=0)(ProgressBoard).remote()


def step_reporter(board: Any, title: str) -> Callable[["Step | None"], None]:
    """Return a function that stores the steps of the task `title` on the board.

    It waits for the board: otherwise the last steps are lost when the process ends.
    """
    import ray

    return lambda step: ray.get(board.put.remote(title, step))


@contextmanager
def open_ray(recipe: DetectorRecipe | PersonaRecipe, workers: int) -> Iterator[Any]:
    """Start a local Ray, or join the cluster of RAY_ADDRESS, and shut it down at the end.

    Raises RecipeError if this machine is too small for `workers` at the same time.
    """
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        for name, value in LOCAL_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        _fetch_base(recipe.base)
    import ray  # reads the environment

    ray.init(
        address or "local",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": WORKER_ENVIRONMENT},
    )
    try:
        if not address:
            resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
            _check_resources(recipe, workers, resources)
        yield ray
    finally:
        ray.shutdown()


def _fetch_base(base: str) -> None:
    """Fetch the base weights before the tasks start, while the terminal shows the progress."""
    from training.runs.progress import console

    materialize(base, console.print)


def _check_resources(
    recipe: DetectorRecipe | PersonaRecipe, workers: int, available: Mapping[str, float]
) -> None:
    """Raise RecipeError if the workers need more than is available: Ray would wait forever."""
    for kind, field in (("CPU", "worker_cpus"), ("GPU", "worker_gpus")):
        needed = getattr(recipe, field) * workers
        if needed > available.get(kind, 0):
            raise RecipeError(
                f"the recipe needs {needed:g} {kind}s for {workers} workers, but Ray has "
                f"{available.get(kind, 0):g}: lower it with --set {field}=NUMBER"
            )


def wait_for_tasks(tasks: Mapping[str, Any], board: Any, table: "ProgressTable") -> None:
    """Show the progress of the tasks, by title, until all have ended.

    Raises TrainingError with the titles and reasons of those that failed.
    """
    import ray

    running = {task: title for title, task in tasks.items()}
    failed: dict[str, Exception] = {}
    while running:
        ended, _ = ray.wait(list(running), timeout=POLL_S)
        _show_steps(ray.get(board.steps.remote()), set(running.values()), table)
        for task in ended:
            title = running.pop(task)
            try:
                table.end(title, "done", ray.get(task))
            except ray.exceptions.RayError as error:
                failed[title] = error
                table.end(title, "failed")
    if failed:
        reasons = [f"{title} failed: {_reason(error)}" for title, error in failed.items()]
        raise TrainingError("; ".join(reasons)) from next(iter(failed.values()))


def _show_steps(
    steps: Mapping[str, "Step | None"], running: set[str], table: "ProgressTable"
) -> None:
    for title, step in steps.items():
        if title in running:
            table.step(title, step)


def _reason(error: Exception) -> str:
    """Return the error of the task, or of the first failed worker of a distributed training."""
    cause = getattr(error, "cause", error)
    first = next(iter(getattr(cause, "worker_failures", {}).values()), cause)
    return f"{type(first).__name__}: {first}"
