"""What a trained detector leaves behind: the tensors that differ from the base, their manifest, and the temperature."""

from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from models.detector.transformer import LORA_A, LORA_B, TransformerClassifier
from models.hashing import file_sha256
from models.manifest import DETECTOR_WEIGHTS, DetectorManifest
from models.weights.cache import Materialized
from training.datasets import sources
from training.errors import RecipeError
from training.evaluation.classification import fit_temperature, scores
from training.recipe import DetectorRecipe


def go_on_from(model: PreTrainedModel | PeftModel, artifact: Path) -> None:
    """Lays an earlier run's tensors into the model. Raises RecipeError if there are none, or others than this recipe trains."""
    if not (artifact / DETECTOR_WEIGHTS).exists():
        raise RecipeError(f"there is no artefact in {artifact} to go on from: run the recipe that makes it first")
    tensors, trained = load_file(artifact / DETECTOR_WEIGHTS), trained_tensors(model)
    if {name: tensor.shape for name, tensor in tensors.items()} != {name: parameter.shape for name, parameter in trained.items()}:
        raise RecipeError(f"{artifact} was trained by a recipe of another shape")
    for name, parameter in trained.items():
        parameter.data.copy_(tensors[name])


def trained_tensors(model: PreTrainedModel | PeftModel) -> dict[str, torch.Tensor]:
    """What the artefact holds, under the base model's names: whole tensors, and `NAME.lora_A` and `NAME.lora_B` for LoRA."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not isinstance(model, PeftModel):
        return trained
    renamed = {}
    for name, tensor in trained.items():
        plain = name.removeprefix("base_model.model.").replace(".modules_to_save.default", "")
        plain = plain.replace(".lora_A.default.weight", f".weight{LORA_A}").replace(".lora_B.default.weight", f".weight{LORA_B}")
        renamed[plain] = tensor
    return renamed


def export(model: PreTrainedModel | PeftModel, base: Materialized, recipe: DetectorRecipe, data_hash: str, out: Path) -> DetectorManifest:
    """Writes the trained tensors in bf16 and their manifest. `model` is rounded too: it then gives what the artefact gives."""
    out.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, parameter in trained_tensors(model).items():
        tensors[name] = parameter.detach().to(torch.bfloat16).contiguous()
        parameter.data.copy_(tensors[name])
    save_file({name: tensor.cpu() for name, tensor in tensors.items()}, out / DETECTOR_WEIGHTS, metadata={"format": "pt"})
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
    """Loads what ships, fits its temperature on the validation split, and writes it and the metrics into the manifest."""
    validation = sources.emotion("val", data)
    classifier = TransformerClassifier(artifact)
    logits = classifier.all_logits([example.text for example in validation])
    labels = [example.label for example in validation]
    temperature = fit_temperature(logits, labels)
    metrics = {f"emotion_val_{name}": value for name, value in scores(logits / temperature, labels).items()}
    manifest = classifier.manifest.model_copy(update={"temperature": temperature, "metrics": metrics})
    manifest.write(artifact)
    return manifest
