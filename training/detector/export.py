"""Export of a trained detector: its changed tensors, their manifest, and the temperature."""

from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from models.detector.factory import open_for_training
from models.detector.transformer import LORA_A, LORA_B
from models.encoder.rows import quantize_rows, restore_rows
from models.hashing import file_sha256
from models.manifest import DETECTOR_WEIGHTS, DetectorManifest
from models.text.normalize import normalize
from models.weights.cache import Materialized
from training.datasets import sources
from training.errors import RecipeError
from training.evaluation.classification import fit_temperature, scores
from training.recipe import DetectorRecipe


def start_hash(artifact: Path) -> str:
    """Return the content hash of an artefact to start from. Raises RecipeError if there is none."""
    return file_sha256(_start_file(artifact))


def _start_file(artifact: Path) -> Path:
    file = artifact / DETECTOR_WEIGHTS
    if not file.exists():
        raise RecipeError(
            f"no artefact in {artifact} to start from: run the recipe that writes it first"
        )
    return file


def load_start_weights(model: PreTrainedModel | PeftModel, artifact: Path) -> None:
    """Copy the tensors of an earlier run's artefact into the model.

    Raises RecipeError if there is no artefact, or if its tensors are not those that this recipe
    trains.
    """
    tensors = restore_rows(load_file(_start_file(artifact)), torch.float32)
    trained = trained_tensors(model)
    if _shapes(tensors) != _shapes(trained):
        raise RecipeError(
            f"the tensors of {artifact} do not fit: this recipe must train the same layers, with "
            "the same LoRA rank, as the recipe that wrote them"
        )
    for name, parameter in trained.items():
        parameter.data.copy_(tensors[name])


def _shapes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def trained_tensors(model: PreTrainedModel | PeftModel) -> dict[str, torch.Tensor]:
    """Return the tensors of the artefact, under the names of the base model.

    LoRA matrices are named `NAME.lora_A` and `NAME.lora_B`.
    """
    trained = {
        name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad
    }
    if not isinstance(model, PeftModel):
        return trained
    return {_base_name(name): tensor for name, tensor in trained.items()}


def _base_name(name: str) -> str:
    """Convert PEFT's name of a parameter into that of the artefact."""
    name = name.removeprefix("base_model.model.").replace(".modules_to_save.default", "")
    name = name.replace(".lora_A.default.weight", f".weight{LORA_A}")
    return name.replace(".lora_B.default.weight", f".weight{LORA_B}")


def export(
    model: PreTrainedModel | PeftModel,
    base: Materialized,
    recipe: DetectorRecipe,
    data_hash: str,
    out: Path,
) -> DetectorManifest:
    """Write the trained tensors and their manifest: LoRA matrices in bf16, whole ones in 8 bits.

    The weights of `model` are rounded too, so that it computes what the artefact computes.
    """
    out.mkdir(parents=True, exist_ok=True)
    trained = trained_tensors(model)
    if recipe.lora_rank:
        tensors = {
            name: one.detach().bfloat16().cpu().contiguous() for name, one in trained.items()
        }
    else:
        tensors = quantize_rows(trained)
    for name, rounded in restore_rows(tensors, torch.float32).items():
        trained[name].data.copy_(rounded)
    save_file(tensors, out / DETECTOR_WEIGHTS, metadata={"format": "pt"})
    manifest = DetectorManifest(
        content_hash=file_sha256(out / DETECTOR_WEIGHTS),
        base=base.name,
        base_hash=base.sha256,
        lora_scale=recipe.lora_alpha / recipe.lora_rank if recipe.lora_rank else None,
        training_data_hash=data_hash,
        max_tokens=recipe.max_tokens,
        temperature=1.0,
        metrics={},
    )
    manifest.write(out)
    return manifest


def calibrate(artifact: Path, data: Path | None) -> DetectorManifest:
    """Fit the temperature of an artefact and write it, with the metrics, into its manifest.

    Both come from the validation split of dair-ai/emotion. `data` is the folder of the public sets,
    None for the hub.
    """
    validation = sources.load_emotion("val", data)
    labels = [example.label for example in validation]
    classifier = open_for_training(artifact)
    logits = classifier.all_logits([normalize(example.text) for example in validation])
    temperature = fit_temperature(logits, labels)
    metrics = {
        f"emotion_val_{name}": value for name, value in scores(logits / temperature, labels).items()
    }
    manifest = classifier.manifest.model_copy(
        update={"temperature": temperature, "metrics": metrics}
    )
    manifest.write(artifact)
    return manifest
