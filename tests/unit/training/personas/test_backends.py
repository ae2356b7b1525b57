"""Training backends: arguments for Unsloth, the choice of a backend, and continued adapters."""

import importlib.util
import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from models.lora_layout import TENSOR_PREFIX
from models.manifest import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from models.weights.cache import Materialized
from support.tiny_models import tiny_gemma
from training.errors import BackendError
from training.personas.backends import PeftBackend, UnslothBackend, choose_backend
from training.personas.train import save_adapter
from training.recipe import PersonaRecipe

RECIPE = PersonaRecipe(base="tiny", lora_rank=2, lora_alpha=6, lora_modules=("q_proj", "down_proj"))
pytestmark = pytest.mark.usefixtures("one_thread")


class FastLanguageModel:
    """Fake of Unsloth's class that records its arguments and builds the model with PEFT."""

    calls: ClassVar[dict[str, dict[str, Any]]] = {}

    @classmethod
    def from_pretrained(
        cls,
        *,
        model_name: str,
        max_seq_length: int,
        dtype: torch.dtype,
        load_in_4bit: bool,
        full_finetuning: bool,
        local_files_only: bool,
    ) -> tuple[Any, str]:
        cls._record("from_pretrained", locals())
        return AutoModelForCausalLM.from_pretrained(model_name, dtype=dtype), "tokenizer"

    @classmethod
    def get_peft_model(
        cls,
        model: Any,
        *,
        r: int,
        target_modules: list[str],
        lora_alpha: int,
        lora_dropout: float,
        bias: str,
        use_gradient_checkpointing: str,
        random_state: int,
        max_seq_length: int,
    ) -> PeftModel:
        cls._record("get_peft_model", locals())
        lora = LoraConfig(r=r, target_modules=target_modules, task_type="CAUSAL_LM")
        return get_peft_model(model, lora)

    @classmethod
    def _record(cls, call: str, given: dict[str, Any]) -> None:
        cls.calls[call] = {name: given[name] for name in given if name not in {"cls", "model"}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gemma(tmp_path_factory.mktemp("gemma"))


@pytest.fixture
def unsloth(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Install a fake Unsloth and return the arguments of its calls."""
    module = ModuleType("unsloth")
    module.__spec__ = ModuleSpec("unsloth", None)
    module.FastLanguageModel = FastLanguageModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "unsloth", module)
    FastLanguageModel.calls.clear()
    return FastLanguageModel.calls


def set_gpu(monkeypatch: pytest.MonkeyPatch, available: bool, bf16: bool = True) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)


def recipe_with(**fields: Any) -> PersonaRecipe:
    return PersonaRecipe.model_validate({**RECIPE.model_dump(), **fields})


def lora(model: PeftModel) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in model.named_parameters() if "lora_" in name}


def saved(base: Path, out: Path, recipe: PersonaRecipe = RECIPE) -> Path:
    """Write an adapter with random matrices, like that of an earlier stage."""
    model, _ = PeftBackend().load(recipe, base, None)
    for tensor in lora(model).values():
        tensor.data.normal_()
    save_adapter(model, Materialized("tiny", base, "0" * 64), out)
    return out


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        (
            {"max_tokens": 99},
            {("from_pretrained", "max_seq_length"): 99, ("get_peft_model", "max_seq_length"): 99},
        ),
        ({"four_bit": True}, {("from_pretrained", "load_in_4bit"): True}),
        ({"lora_rank": 3}, {("get_peft_model", "r"): 3}),
        ({"lora_alpha": 7}, {("get_peft_model", "lora_alpha"): 7}),
        ({"lora_dropout": 0.25}, {("get_peft_model", "lora_dropout"): 0.25}),
        ({"lora_modules": ("v_proj",)}, {("get_peft_model", "target_modules"): ["v_proj"]}),
        ({"seed": 5}, {("get_peft_model", "random_state"): 5}),
        ({"epochs": 9, "learning_rate": 1, "batch_size": 2, "vocabulary": 4}, {}),
    ],
    ids=lambda value: ",".join(map(str, value)) or "none",
)
def test_unsloth_gets_the_settings_of_the_recipe(
    base: Path,
    unsloth: dict[str, dict[str, Any]],
    fields: dict[str, Any],
    expected: dict[tuple[str, str], Any],
) -> None:
    UnslothBackend().load(recipe_with(**fields), base, None)
    found = {
        (call, name): value
        for call, arguments in unsloth.items()
        for name, value in arguments.items()
    }
    assert found == {
        ("from_pretrained", "model_name"): str(base),
        ("from_pretrained", "max_seq_length"): 256,
        ("from_pretrained", "dtype"): torch.bfloat16,
        ("from_pretrained", "load_in_4bit"): False,
        ("from_pretrained", "full_finetuning"): False,
        ("from_pretrained", "local_files_only"): True,
        ("get_peft_model", "r"): 2,
        ("get_peft_model", "lora_alpha"): 6,
        ("get_peft_model", "lora_dropout"): 0,
        ("get_peft_model", "target_modules"): ["q_proj", "down_proj"],
        ("get_peft_model", "bias"): "none",
        ("get_peft_model", "use_gradient_checkpointing"): "unsloth",
        ("get_peft_model", "random_state"): 0,
        ("get_peft_model", "max_seq_length"): 256,
        **expected,
    }


@pytest.mark.usefixtures("unsloth")
def test_unsloth_returns_its_own_tokenizer(base: Path) -> None:
    assert UnslothBackend().load(RECIPE, base, None)[1] == "tokenizer"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "no bf16"])
def test_peft_trains_float32_lora_on_weights_in_the_type_of_the_device(
    base: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    monkeypatch.setattr("training.personas.backends.training_dtype", lambda: dtype)
    model, tokenizer = PeftBackend().load(recipe_with(lora_dropout=0.25), base, None)
    config = model.peft_config["default"]
    assert (config.r, config.lora_alpha, config.lora_dropout, config.bias) == (2, 6, 0.25, "none")
    assert config.target_modules == {"q_proj", "down_proj"}
    assert {(name in lora(model), one.dtype) for name, one in model.named_parameters()} == {
        (True, torch.float32),
        (False, dtype),
    }
    assert {name for name, one in model.named_parameters() if one.requires_grad} == set(lora(model))
    assert len(lora(model)) == 4
    assert tokenizer("ab")["input_ids"] == [
        tokenizer.convert_tokens_to_ids(letter) for letter in "ab"
    ]


@pytest.mark.parametrize("requested", ["auto", "peft", "unsloth"])
@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("installed", [False, True])
def test_backend_depends_on_recipe_and_machine(
    requested: str, gpu: bool, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_gpu(monkeypatch, gpu)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: ModuleSpec(name, None) if installed else None
    )
    recipe = recipe_with(backend=requested)
    if requested == "unsloth" and not (gpu and installed):
        with pytest.raises(
            BackendError, match=r"needs a GPU and the packages of requirements/train-gpu\.txt"
        ):
            choose_backend(recipe)
    else:
        assert choose_backend(recipe).name == (
            "unsloth" if gpu and installed and requested != "peft" else "peft"
        )


@pytest.mark.usefixtures("unsloth")
def test_finds_an_unsloth_that_is_already_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    set_gpu(monkeypatch, True)
    assert isinstance(choose_backend(RECIPE), UnslothBackend)


@pytest.mark.usefixtures("unsloth")
def test_gpu_without_bf16_trains_in_float32_or_says_so_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_gpu(monkeypatch, True, bf16=False)
    assert choose_backend(RECIPE).name == "peft"
    with pytest.raises(BackendError, match=r"a GPU with bf16 .* backend = \"peft\""):
        choose_backend(recipe_with(backend="unsloth"))


def test_four_bit_weights_need_unsloth(base: Path) -> None:
    recipe = recipe_with(backend="peft", four_bit=True)
    with pytest.raises(BackendError, match="four_bit needs the unsloth backend"):
        choose_backend(recipe).load(recipe, base, None)


@pytest.mark.usefixtures("unsloth")
@pytest.mark.parametrize(
    "backend", [PeftBackend(), UnslothBackend()], ids=lambda backend: str(backend.name)
)
def test_stage_continues_from_an_earlier_adapter(
    base: Path, tmp_path: Path, backend: PeftBackend | UnslothBackend
) -> None:
    start = load_file(saved(base, tmp_path) / ADAPTER_WEIGHTS)
    model, _ = backend.load(RECIPE, base, tmp_path)
    found = {name.replace(".default", ""): tensor for name, tensor in lora(model).items()}
    assert found.keys() == start.keys()
    for name, tensor in found.items():
        assert tensor.requires_grad
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, start[name].float())


def test_new_adapter_does_not_change_the_output(base: Path) -> None:
    model, _ = PeftBackend().load(RECIPE, base, None)
    assert all(not tensor.any() for name, tensor in lora(model).items() if "lora_B" in name)


@pytest.mark.parametrize(
    "modules",
    [("q_proj",), ("q_proj", "up_proj"), ("q_proj", "down_proj", "up_proj")],
    ids=",".join,
)
def test_rejects_an_adapter_with_other_modules(
    base: Path, tmp_path: Path, modules: tuple[str, ...]
) -> None:
    saved(base, tmp_path)
    with pytest.raises(BackendError, match="does not fit the model"):
        PeftBackend().load(recipe_with(lora_modules=modules), base, tmp_path)


def test_rejects_an_adapter_of_another_rank(base: Path, tmp_path: Path) -> None:
    saved(base, tmp_path)
    with pytest.raises(BackendError, match="does not fit the model"):
        PeftBackend().load(recipe_with(lora_rank=4), base, tmp_path)


def test_saved_adapter_names_the_base_of_the_recipe(base: Path, tmp_path: Path) -> None:
    model, _ = PeftBackend().load(RECIPE, base, None)
    model.peft_config["default"].base_model_name_or_path = "unsloth/gemma-2-2b-bnb-4bit"
    save_adapter(model, Materialized("gemma-2-2b", base, "0" * 64), tmp_path)
    config = (tmp_path / ADAPTER_CONFIG).read_text("utf-8")
    assert json.loads(config)["base_model_name_or_path"] == "gemma-2-2b"
    assert "bnb" not in config
    assert {file.name for file in tmp_path.iterdir()} == {ADAPTER_CONFIG, ADAPTER_WEIGHTS}


def test_saved_adapter_holds_only_lora_in_bf16(base: Path, tmp_path: Path) -> None:
    tensors = load_file(saved(base, tmp_path) / ADAPTER_WEIGHTS)
    assert len(tensors) == 4
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert all(
        name.startswith(TENSOR_PREFIX) and name.endswith((".lora_A.weight", ".lora_B.weight"))
        for name in tensors
    )
