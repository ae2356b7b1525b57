"""The tensors of an adapter, read no further than their names and shapes: pairs of LoRA matrices that fit the layers of the base."""

from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import safe_open

TENSOR_PREFIX = "base_model.model.model.layers."
A, B = ".lora_A.weight", ".lora_B.weight"
Shape = tuple[int, ...]
Layers = Mapping[str, Shape]  # (output, input) of each weight, by its name from the number of its layer on: `0.mlp.up_proj`


def base_layers(base: Path) -> Layers:
    """What the layers of base weights are, whatever their text model is wrapped in. Empty for weights that are named otherwise."""
    parted = ((name.partition("model.layers.")[2], shape) for file in base.glob("*.safetensors") for name, shape in _shapes(file).items())
    return {name.removesuffix(".weight"): shape for name, shape in parted if name.endswith(".weight")}


def check_tensors(file: Path, rank: int, modules: Collection[str], layers: Layers) -> None:
    """Every tensor is half of a LoRA of a target module, of the claimed rank, under the prefix that the engine reads.

    It must also fit its layer, where `layers` are known. Raises ValueError for the first that is otherwise.
    """
    shapes = _shapes(file)
    for name, shape in shapes.items():
        module = name.removesuffix(A).removesuffix(B)
        if not name.startswith(TENSOR_PREFIX) or module == name or module.rpartition(".")[2] not in modules:
            raise ValueError(f"tensor {name} is not of a target module")
        if len(shape) != 2 or shape[0 if name.endswith(A) else 1] != rank:
            raise ValueError(f"tensor {name} is not of rank {rank}")
        if not {module + A, module + B} <= shapes.keys():
            raise ValueError(f"tensor {name} has no other half")
        if layers:
            _check_size(name, shape, module.removeprefix(TENSOR_PREFIX), layers)


def _check_size(name: str, shape: Shape, module: str, layers: Layers) -> None:
    """An engine may add one that is too small to a part of its layer, without an error."""
    if module not in layers:
        raise ValueError(f"tensor {name} is of no layer of the base")
    side = 1 if name.endswith(A) else 0
    if shape[side] != layers[module][side]:
        raise ValueError(f"tensor {name} is of size {shape[side]}, and the layer of {layers[module][side]}")


def _shapes(file: Path) -> dict[str, Shape]:
    with safe_open(file, framework="numpy") as tensors:
        return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118 (not a dict)
