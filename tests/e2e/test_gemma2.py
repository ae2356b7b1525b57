"""Gemma 2, the GPU default's architecture (soft caps, sliding window), with small random weights.

The weights are made here and take the same code path as the real ones.
"""

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
from serve.responder.runtime import Runtime, start_runtime
from serve.responder.validation import largest_shift
from support.engine_probes import generate_greedy_tokens

pytestmark = pytest.mark.asyncio(loop_scope="module")
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")
WORDS = ("Friend", ":", "Anger", "they", "moved", "my", "desk", "again", "!", "\n")
WINDOW = 16
TARGETS = ("q_proj", "v_proj", "down_proj")
LONG = "they moved my desk again ! " * 8  # longer than the window


def make_tokenizer(folder: Path) -> None:
    words = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_tokens([AddedToken(word, special=True) for word in SPECIAL])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    ).save_pretrained(folder)


def make_base(folder: Path) -> Path:
    """A Gemma 2 of two layers, one of them with a sliding window, and a tiny tokenizer."""
    make_tokenizer(folder)
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
    lora = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=list(TARGETS),
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(1)
    model = Gemma2ForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    get_peft_model(model, lora).save_pretrained(folder)
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


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the base weights and of an adapter for them."""
    root = tmp_path_factory.mktemp("gemma2")
    base = make_base(root / "base")
    adapter = root / "adapters" / "anger"
    make_adapter(base, adapter)
    return base, adapter


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runtime(folders: tuple[Path, Path]) -> AsyncIterator[Runtime]:
    base, adapter = folders
    hardware = HardwareProfile(max_num_seqs=4, max_model_len=256)
    config = ResponderConfig(base=str(base), adapters=adapter.parent, hardware=hardware)
    started = await start_runtime(config)
    yield started
    await started.engine.stop()


def next_token_logprobs(
    base: Path, adapter: Path | None, prompt: list[int], **changes: object
) -> dict[int, float]:
    """Next-token log-probabilities of transformers in float32, with a changed configuration."""
    model = Gemma2ForCausalLM.from_pretrained(
        base, dtype=torch.float32, attn_implementation="eager", **changes
    )
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.no_grad():
        logits = model(torch.tensor([prompt])).logits[0, -1]
    return dict(enumerate(torch.log_softmax(logits, -1).tolist()))


@pytest.mark.parametrize("text", ["they moved my desk again !", LONG], ids=["short", "long"])
@pytest.mark.parametrize("with_adapter", [False, True])
async def test_agrees_with_transformers(
    runtime: Runtime, folders: tuple[Path, Path], text: str, with_adapter: bool
) -> None:
    base, adapter = folders
    prompt = runtime.encoder.prompt("Anger", [Turn("user", text)])
    name = runtime.aliases[Emotion.ANGER] if with_adapter else None
    _, logprobs = await generate_greedy_tokens(runtime, prompt, name, 1)
    expected = next_token_logprobs(base, adapter if with_adapter else None, prompt)
    assert largest_shift(logprobs[0], expected) < 0.15


async def test_the_reference_depends_on_the_adapter(
    runtime: Runtime, folders: tuple[Path, Path]
) -> None:
    """Otherwise the agreement above would show nothing."""
    base, adapter = folders
    prompt = runtime.encoder.prompt("Anger", [Turn("user", LONG)])
    adapted = next_token_logprobs(base, adapter, prompt)
    assert largest_shift(next_token_logprobs(base, None, prompt), adapted) > 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"final_logit_softcapping": None},
        {"attn_logit_softcapping": None},
        {"sliding_window": 512},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_the_reference_depends_on_caps_and_window(
    runtime: Runtime, folders: tuple[Path, Path], change: dict[str, object]
) -> None:
    base, _ = folders
    prompt = runtime.encoder.prompt("Anger", [Turn("user", LONG)])
    assert len(prompt) > 2 * WINDOW
    plain = next_token_logprobs(base, None, prompt)
    assert largest_shift(plain, next_token_logprobs(base, None, prompt, **change)) > 0.3
