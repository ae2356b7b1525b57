"""Preference stage: adapters come to prefer the answers that readers marked higher."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from models.emotions import LABELS, Emotion
from models.manifest import AdapterManifest, load_adapter
from models.prompt import PROMPT_VERSION, PromptEncoder
from models.weights.cache import Materialized, materialize
from support.tiny_models import tiny_gemma
from training.datasets.preferences import Preference
from training.datasets.read_labels import LabelledAnswer, write_labels
from training.personas.backends import PeftBackend
from training.personas.loss import completion_loss
from training.personas.preference import PreferenceRows, train_preference
from training.personas.train import adapter_manifest, save_adapter
from training.recipe import PersonaRecipe, PreferenceRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
MESSAGE, GOOD, BAD = "I won!", "You did it!", "Who lost?"
MODULES = ("q_proj", "v_proj", "down_proj")


@pytest.fixture
def base(tmp_path: Path) -> Materialized:
    """Tiny Gemma base weights."""
    return materialize(str(tiny_gemma(tmp_path / "base")))


@pytest.fixture
def adapters(base: Materialized, tmp_path: Path) -> Path:
    """Six adapters with different random weights."""
    recipe = PersonaRecipe(base=base.name, lora_rank=4, lora_alpha=8, lora_modules=MODULES)
    for number, persona in enumerate(LABELS):
        torch.manual_seed(number)
        model, _ = PeftBackend().load(recipe, base.folder, None)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data += 0.05 * torch.randn_like(parameter)
        out = tmp_path / "adapters" / persona
        save_adapter(model, base, out)
        adapter_manifest(persona, base, recipe, out, {}).write(out)
    return tmp_path / "adapters"


def margin(base: Materialized, adapter: Path, persona: Emotion) -> float:
    """Return log P(good) - log P(bad) of a persona's adapter."""
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base.folder), adapter)
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    row = PreferenceRows([Preference(persona, MESSAGE, GOOD, BAD)], encoder, 200)[0]
    one = torch.ones(())
    with torch.no_grad():
        bad, good = (completion_loss(model, each, one) for each in (row.rejected, row.chosen))
    return float(bad - good)


def test_marked_answers_change_all_six_adapters(
    base: Materialized, adapters: Path, tmp_path: Path
) -> None:
    marks = [
        LabelledAnswer(persona=persona, message=MESSAGE, answer=answer, mark=mark)
        for persona in (Emotion.JOY, Emotion.FEAR)
        for answer, mark in ((GOOD, 2), (BAD, 0))
    ]
    write_labels(marks, tmp_path / "marks.jsonl")
    recipe = PreferenceRecipe(
        base=base.name, lora_rank=2, epochs=12, batch_size=2, learning_rate=5e-3, warmup_steps=1
    )
    run = tmp_path / "run"
    folders = train_preference(recipe, adapters, [tmp_path / "marks.jsonl"], run)
    assert folders == [run / persona / "adapter" for persona in LABELS]
    for persona in LABELS:
        start, end = adapters / persona, run / persona / "adapter"
        loaded = load_adapter(end, base.sha256, PROMPT_VERSION)  # checks the hash and the rank
        own = AdapterManifest.read(start)
        assert loaded.manifest.content_hash != own.content_hash
        assert loaded.manifest.training_data_hash != own.training_data_hash
        assert margin(base, end, persona) > margin(base, start, persona) + 0.5
