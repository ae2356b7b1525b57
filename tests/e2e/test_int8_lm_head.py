"""int8 LM head on Gemma's own weights: closer to float32 than a bf16 LM head is."""

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from models.emotions import Emotion
from models.manifest import ARTIFACTS
from models.prompt import PromptEncoder, Turn
from models.weights.cache import materialize
from serve.config import ResponderConfig
from serve.engine.vllm_cpu.compat import has_int8_dot_product
from serve.engine.vllm_cpu.lm_head import Int8LMHead
from training.datasets.persona_pairs import training_pairs

pytestmark = pytest.mark.skipif(
    not has_int8_dot_product(), reason="the processor has no int8 dot product"
)
PAIRS = slice(0, 400, 50)


def weight_and_hidden_states() -> tuple[torch.Tensor, torch.Tensor]:
    """Gemma's LM head (vocabulary, hidden), and its input at tokens of joy's pairs."""
    folder = materialize(ResponderConfig().base).folder
    encoder = PromptEncoder(folder / "tokenizer.json")
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model = PeftModel.from_pretrained(base, ARTIFACTS / "adapters" / "joy")
    seen: list[torch.Tensor] = []
    head = model.get_output_embeddings()
    head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    with torch.inference_mode():
        for pair in training_pairs(Emotion.JOY)[PAIRS]:
            answer = encoder.tokenizer.encode(pair.answer, add_special_tokens=False).ids
            prompt = encoder.prompt("Joy", [Turn("user", pair.message)])
            model(input_ids=torch.tensor([prompt + answer]))
    return head.weight.detach(), torch.cat(seen)


@torch.inference_mode()
def test_is_closer_to_float32_than_bf16_is() -> None:
    weight, hidden = weight_and_hidden_states()
    head = Int8LMHead(weight)
    full = weight.float().t()
    variation = torch.zeros(2)  # sums of total variation: int8, bf16
    same = torch.zeros(2)  # tokens with the same most likely token
    for rows in torch.split(hidden, 32):
        exact = rows.float() @ full
        for kind, logits in enumerate((head(rows, weight), (rows @ weight.t()).float())):
            variation[kind] += (logits.softmax(-1) - exact.softmax(-1)).abs().sum() / 2
            same[kind] += (logits.argmax(-1) == exact.argmax(-1)).sum()
    mean = variation / len(hidden)
    print(f"{len(hidden)} tokens, int8 and bf16: total variation {mean}, same token {same}")
    assert variation[0] < variation[1]
    assert same[0] >= same[1]
    assert same[0] >= 0.995 * len(hidden)
