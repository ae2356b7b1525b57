"""Imports Unsloth where a run will use it: it patches transformers, TRL and PEFT, so it must come before them."""

import importlib
import importlib.util

from training.recipe import PersonaRecipe


def import_unsloth(recipe: PersonaRecipe) -> None:
    """Nothing to do without a GPU, without the package, or where the recipe asks for PEFT."""
    import torch

    if recipe.backend != "peft" and torch.cuda.is_available() and importlib.util.find_spec("unsloth"):
        importlib.import_module("unsloth")
