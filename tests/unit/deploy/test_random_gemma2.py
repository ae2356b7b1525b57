"""The random Gemma 2 of `support.random_gemma2`, with a small shape."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import Gemma2Config

from models.emotions import LABELS
from models.lora_layout import base_layers
from models.prompt import PromptEncoder, Turn
from models.weights.cache import materialize
from serve.adapters.configured import configured_adapters
from serve.cli.config_file import read_config
from support import random_gemma2
from training.jobs.stand_in import SHAPES
from training.recipe import PersonaRecipe

SMALL = {
    "vocab_size": 300,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("device", "requests"), [("cpu", 32), ("cuda", 256)])
def test_serving_accepts_base_adapters_and_config(
    device: str, requests: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_base = random_gemma2.write_base
    monkeypatch.setattr(
        random_gemma2, "write_base", lambda folder, **shape: write_base(folder, **(SMALL | shape))
    )
    random_gemma2.main([str(tmp_path), "--layers", "2", "--device", device])
    config = read_config(tmp_path / "serve.yaml").responder
    assert config.hardware.device == device
    assert config.hardware.max_num_seqs == requests
    base = materialize(config.base)
    found = configured_adapters(config, base).adapters
    assert [one.manifest.persona for one in found] == sorted(LABELS)
    assert len({one.manifest.content_hash for one in found}) == len(LABELS)
    assert {one.manifest.rank for one in found} == {random_gemma2.RANK}


def test_shape_is_that_of_the_recipe(tmp_path: Path) -> None:
    """Only the number of layers differs from the model that is trained and served."""
    random_gemma2.write_base(tmp_path, **SMALL)
    recipe = PersonaRecipe.read("personas-gemma-2-2b")
    assert (recipe.lora_rank, recipe.lora_modules) == (random_gemma2.RANK, random_gemma2.MODULES)
    written = json.loads((tmp_path / "config.json").read_text("utf-8"))
    whole = SHAPES["gemma-2-2b"]().to_dict()
    differing = {key for key, value in whole.items() if key in written and written[key] != value}
    assert differing - {"architectures", "dtype", *SMALL} == set()
    assert SHAPES["gemma-2-2b"] is Gemma2Config
    assert len([name for name in base_layers(tmp_path) if name.endswith("q_proj")]) == 26


def test_every_token_of_the_vocabulary_is_text(tmp_path: Path) -> None:
    random_gemma2.write_tokenizer(tmp_path, 300)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 300
    assert tokenizer.decode([298, 299]) == " w298 w299"
    encoder = PromptEncoder(tmp_path / "tokenizer.json")
    prompt = encoder.prompt("Joy", [Turn("user", "Hi")])
    assert encoder.text(prompt) == "Friend: Hi\nJoy:"
