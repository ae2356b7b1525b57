"""The head in bytes on Gemma's own weights: nearer to what float32 makes of the same hidden states than a head in bf16 is."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from models.detector.int8.cache import has_int8_dot_product
from models.emotions import Emotion
from models.manifest import ARTIFACTS
from models.prompt import PromptEncoder, Turn
from models.weights.cache import materialize
from serve.config import ResponderConfig
from serve.engine.vllm_cpu.lm_head import ByteHead
from training.datasets.persona_pairs import pairs

pytestmark = pytest.mark.skipif(not has_int8_dot_product(), reason="no VNNI: the plugin is off here")
PAIRS = slice(0, 400, 50)


def head_and_hidden() -> tuple[torch.Tensor, torch.Tensor]:
    """Gemma's head `(vocabulary, hidden)`, and what it reads at each token of some of joy's pairs, `(tokens, hidden)`."""
    folder = materialize(ResponderConfig().base).folder
    encoder = PromptEncoder(folder / "tokenizer.json")
    bare = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(bare, ARTIFACTS / "adapters" / "joy")
    seen: list[torch.Tensor] = []
    head = model.get_output_embeddings()
    head.register_forward_pre_hook(lambda _, read: seen.append(read[0][0]))
    with torch.inference_mode():
        for pair in pairs(Emotion.JOY, held_out=False)[PAIRS]:
            answer = encoder.tokenizer.encode(pair.answer, add_special_tokens=False).ids
            model(input_ids=torch.tensor([encoder.prompt("Joy", [Turn("user", pair.message)]) + answer]))
    return head.weight.detach(), torch.cat(seen)


@torch.inference_mode()
def test_it_is_nearer_to_float32_than_bf16_is() -> None:
    weight, hidden = head_and_hidden()
    ours, full = ByteHead(weight), weight.float().t()
    apart, same = torch.zeros(2), torch.zeros(2)
    for rows in hidden.split(32):
        exact = rows.float() @ full
        for place, logits in enumerate((ours(rows, weight), (rows @ weight.t()).float())):
            apart[place] += (logits.softmax(-1) - exact.softmax(-1)).abs().sum() / 2  # total variation
            same[place] += (logits.argmax(-1) == exact.argmax(-1)).sum()
    print(f"{len(hidden)} tokens: total variation {apart / len(hidden)}, the same likeliest token {same}: in bytes, in bf16")
    assert apart[0] < apart[1]
    assert same[0] >= same[1]
    assert same[0] >= 0.995 * len(hidden)
