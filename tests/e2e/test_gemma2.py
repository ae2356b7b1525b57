"""The GPU default's architecture, Gemma 2 (soft caps, sliding window), with small random weights made here, through the same code."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import AddedToken, Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import Gemma2Config, Gemma2ForCausalLM, PreTrainedTokenizerFast

from models.emotions import Emotion
from models.hashing import weights_sha256
from models.manifest import AdapterManifest, adapter_hash
from models.prompt import PROMPT_VERSION, Turn
from serve.config import HardwareProfile, ResponderConfig
from serve.adapters.validation import largest_shift
from serve.responder.runtime import Backend, open_backend
from support.engine_probes import generate_greedy_tokens

pytestmark = pytest.mark.asyncio(loop_scope="module")
WORDS = ("Friend", ":", "Anger", "they", "moved", "my", "desk", "again", "!", "\n")
WINDOW = 16
TARGETS = ("q_proj", "v_proj", "down_proj")
LONG = "they moved my desk again ! " * 8  # longer than the window


def make_base(folder: Path) -> Path:
    """A Gemma 2 of two layers, one of them with a sliding window, and a tokenizer of a few words."""
    special = ("<pad>", "<eos>", "<bos>", "<unk>")
    words = (*special, *WORDS)
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_tokens([AddedToken(word, special=True) for word in special])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>").save_pretrained(folder)
    config = Gemma2Config(
        vocab_size=256,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        query_pre_attn_scalar=32,
        sliding_window=WINDOW,
        max_position_embeddings=512,
        attn_logit_softcapping=5.0,
        final_logit_softcapping=3.0,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(config)
    with torch.no_grad():  # the usual initial weights are too small for caps and window to matter
        for parameter in model.parameters():
            parameter.mul_(8) if parameter.ndim > 1 else parameter.add_(0.5)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def make_adapter(base: Path, folder: Path) -> None:
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=list(TARGETS), init_lora_weights=False, task_type="CAUSAL_LM")
    torch.manual_seed(1)
    model = get_peft_model(Gemma2ForCausalLM.from_pretrained(base, dtype=torch.bfloat16), lora)
    model.save_pretrained(folder)
    AdapterManifest(
        name="anger",
        persona=Emotion.ANGER,
        content_hash=adapter_hash(folder),
        base=base.name,
        base_hash=weights_sha256(base),
        rank=8,
        alpha=16,
        target_modules=TARGETS,
        prompt_version=PROMPT_VERSION,
        training_data_hash="0" * 64,
        metrics={},
    ).write(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def backend(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Backend]:
    root = tmp_path_factory.mktemp("gemma2")
    base = make_base(root / "base")
    make_adapter(base, root / "adapters" / "anger")
    hardware = HardwareProfile(max_num_seqs=4, max_model_len=256)
    opened = await open_backend(ResponderConfig(base=str(base), adapters=root / "adapters", hardware=hardware))
    yield opened
    await opened.engine.stop()


def reference(base: Path, adapter: Path | None, prompt: list[int]) -> dict[int, float]:
    """transformers' own next-token log-probabilities, in float32."""
    model = Gemma2ForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1]
    return dict(enumerate(torch.log_softmax(logits, -1).tolist()))


@pytest.mark.parametrize("text", ["they moved my desk again !", LONG])
async def test_gemma_2_with_an_adapter_agrees_with_transformers(backend: Backend, text: str) -> None:
    base = Path(backend.engine._base)  # type: ignore[attr-defined]
    prompt = backend.encoder.prompt("Anger", [Turn("user", text)])
    for adapter, folder in ((None, None), (backend.aliases[Emotion.ANGER], base.parent / "adapters" / "anger")):
        _, logprobs = await generate_greedy_tokens(backend, prompt, adapter, 1)
        assert largest_shift(logprobs[0], reference(base, folder, prompt)) < 0.15, adapter


async def test_the_reference_sees_caps_window_and_adapter(backend: Backend) -> None:
    """Otherwise agreeing with it would show nothing."""
    base = Path(backend.engine._base)  # type: ignore[attr-defined]
    prompt = backend.encoder.prompt("Anger", [Turn("user", LONG)])
    assert len(prompt) > 2 * WINDOW
    plain = reference(base, None, prompt)
    assert largest_shift(plain, reference(base, base.parent / "adapters" / "anger", prompt)) > 0.5
    for change in ({"final_logit_softcapping": None}, {"attn_logit_softcapping": None}, {"sliding_window": 512}):
        model = Gemma2ForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager", **change)
        with torch.no_grad():
            logits = model(torch.tensor([prompt])).logits[0, -1]
        assert largest_shift(plain, dict(enumerate(torch.log_softmax(logits, -1).tolist()))) > 0.3, change
