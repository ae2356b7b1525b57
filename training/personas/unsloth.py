"""Early import of Unsloth: it patches transformers, TRL and PEFT, so it must come before them."""

import importlib
import importlib.util

from training.recipe import PersonaRecipe


def import_unsloth(recipe: PersonaRecipe) -> None:
    """Import Unsloth if the run will use it.

    Does nothing without a GPU, without the package, or if the recipe asks for PEFT.
    """
    from models.machine.precision import has_gpu, use_one_gpu

    if recipe.backend == "peft" or not has_gpu():
        return
    if importlib.util.find_spec("unsloth"):
        use_one_gpu()  # the import initialises CUDA
        importlib.import_module("unsloth")
