"""Soft cap of Gemma 2's attention scores in training, in evaluation and in the detector."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2ForCausalLM

from models.attention import attention_of
from models.detector.transformer import blank_model
from models.emotions import Emotion
from models.weights.cache import Materialized
from support.tiny_models import tiny_bert, tiny_gemma, tiny_shield
from training.evaluation.generation import PersonaGenerator
from training.personas.backends import PeftBackend
from training.recipe import PersonaRecipe

RECIPE = PersonaRecipe(base="tiny", backend="peft", lora_rank=2, lora_modules=("q_proj",))
IDS = torch.tensor([[2, *range(10, 40)]])
SCALE = 40  # of the weights of queries and keys, so that scores are larger than the cap
FAR = 0.2  # difference of log-probabilities that a missing cap makes at least
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def gemma2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Gemma 2 whose attention scores are much larger than its cap."""
    folder = tiny_shield(tmp_path_factory.mktemp("gemma2"))
    model = Gemma2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.config.attn_logit_softcapping = 5.0
    model.config.final_logit_softcapping = None  # so that it does not hide the other
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "q_proj" in name or "k_proj" in name:
                weight.mul_(SCALE)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in float32 on every CPU."""
    for module in ("training.personas.backends", "training.evaluation.generation"):
        monkeypatch.setattr(f"{module}.training_dtype", lambda: torch.float32)


def capped_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, cap: float
) -> torch.Tensor:
    """Causal attention with a soft cap, written from its definition."""
    scores = cap * torch.tanh(query @ key.transpose(-1, -2) * scale / cap)
    later = torch.ones(scores.shape[-2:]).triu(1).bool()
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ value


def reference(base: Path) -> torch.Tensor:
    """Logits with the definition of the capped attention in place of transformers' own."""
    model = Gemma2ForCausalLM.from_pretrained(base, dtype=torch.bfloat16).float()
    for layer in model.model.layers:
        attention = layer.self_attn

        def forward(
            hidden_states: torch.Tensor,
            position_embeddings: Any,
            attention_mask: Any = None,
            own: Any = attention,
            **_: Any,
        ) -> tuple[torch.Tensor, None]:
            from transformers.models.gemma2.modeling_gemma2 import apply_rotary_pos_emb

            shape = (*hidden_states.shape[:-1], -1, own.head_dim)
            parts = (own.q_proj, own.k_proj, own.v_proj)
            query, key, value = (part(hidden_states).view(shape).transpose(1, 2) for part in parts)
            query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
            output = capped_attention(
                query, key, value, own.scaling, own.config.attn_logit_softcapping
            )
            return own.o_proj(output.transpose(1, 2).flatten(-2)), None

        attention.forward = forward
    return logits(model)


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=IDS).logits.float().log_softmax(-1)
    return found


def difference(first: torch.Tensor, second: torch.Tensor) -> float:
    return (first - second).abs().max().item()


def test_default_attention_leaves_out_the_cap(gemma2: Path) -> None:
    """Otherwise the tests below would show nothing."""
    default = AutoModelForCausalLM.from_pretrained(gemma2, dtype=torch.bfloat16).float()
    assert difference(logits(default), reference(gemma2)) > FAR


def test_backend_trains_with_the_cap(gemma2: Path) -> None:
    model, _ = PeftBackend().load(RECIPE, gemma2, None)
    assert difference(logits(model), reference(gemma2)) < 1e-4


def test_evaluation_answers_with_the_cap(gemma2: Path, tmp_path: Path) -> None:
    PeftBackend().load(RECIPE, gemma2, None)[0].save_pretrained(tmp_path)
    adapters = dict.fromkeys((Emotion.JOY,), tmp_path)
    generator = PersonaGenerator(Materialized("tiny", gemma2, "0" * 64), adapters)
    assert difference(logits(generator.model), reference(gemma2)) < 1e-4


def test_detector_reads_with_the_cap(gemma2: Path) -> None:
    torch.manual_seed(0)
    model = blank_model(gemma2)
    plain = blank_model(gemma2)
    plain.load_state_dict(model.state_dict())
    plain.set_attn_implementation("sdpa")
    with torch.no_grad():
        difference_of_scores = (model(IDS).logits - plain(IDS).logits).abs().max().item()
    assert difference_of_scores > 1e-3
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize("make", [tiny_gemma, tiny_bert])
def test_other_models_keep_the_default(make: Any, tmp_path: Path) -> None:
    assert attention_of(make(tmp_path)) is None
