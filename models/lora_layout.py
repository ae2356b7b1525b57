"""Check of an adapter's tensors by name and shape, without reading their values.

Every tensor must be one half of a pair of LoRA matrices that fits a layer of the base weights.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import safe_open

TENSOR_PREFIX = "base_model.model.model.layers."
LORA_A = ".lora_A.weight"  # (rank, input)
LORA_B = ".lora_B.weight"  # (output, rank)
Shape = tuple[int, ...]
Layers = Mapping[str, Shape]  # (output, input) of each weight by its name, as "0.mlp.up_proj"


def base_layers(base: Path) -> Layers:
    """Return the shapes of the layers of base weights, with or without a model prefix.

    The result is empty if the weights name their layers differently.
    """
    layers = {}
    for file in base.glob("*.safetensors"):
        for tensor, shape in _shapes(file).items():
            name = tensor.partition("model.layers.")[2]
            if name.endswith(".weight"):
                layers[name.removesuffix(".weight")] = shape
    return layers


def check_tensors(file: Path, rank: int, modules: Collection[str], layers: Layers) -> None:
    """Check that a file holds pairs of LoRA matrices and nothing else.

    They must belong to `modules`, have `rank` and fit `layers`, unless `layers` is empty.
    Raises ValueError for the first tensor that does not.
    """
    shapes = _shapes(file)
    for name, shape in shapes.items():
        module = name.removesuffix(LORA_A).removesuffix(LORA_B)
        _check_target(name, module, modules)
        _check_rank(name, shape, rank)
        if not {module + LORA_A, module + LORA_B} <= shapes.keys():
            raise ValueError(f"tensor {name} has no matching lora_A or lora_B tensor")
        if layers:
            _check_size(name, shape, module.removeprefix(TENSOR_PREFIX), layers)


def _check_target(name: str, module: str, modules: Collection[str]) -> None:
    is_half = module != name
    if not name.startswith(TENSOR_PREFIX) or not is_half or _layer_type(module) not in modules:
        raise ValueError(f"tensor {name} does not belong to a target module")


def _layer_type(module: str) -> str:
    return module.rpartition(".")[2]


def _check_rank(name: str, shape: Shape, rank: int) -> None:
    rank_axis = 0 if name.endswith(LORA_A) else 1
    if len(shape) != 2 or shape[rank_axis] != rank:
        raise ValueError(f"tensor {name} has shape {shape}, expected rank {rank}")


def _check_size(name: str, shape: Shape, module: str, layers: Layers) -> None:
    """Compare a matrix with its layer. An engine may broadcast a small one without an error."""
    if module not in layers:
        raise ValueError(f"tensor {name} belongs to no layer of the base weights")
    axis = 1 if name.endswith(LORA_A) else 0
    expected = layers[module][axis]
    if shape[axis] != expected:
        raise ValueError(f"tensor {name} has size {shape[axis]}, expected {expected} of its layer")


def _shapes(file: Path) -> dict[str, Shape]:
    with safe_open(file, framework="numpy") as tensors:
        names = tensors.keys()
        return {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
