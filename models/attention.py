"""Choice of an attention implementation that computes what the model was trained with.

transformers' default, SDPA, leaves out the soft cap of Gemma 2's attention scores without a word.
vLLM and Unsloth apply it, so an adapter that was trained without it would be served with it.
"""

from pathlib import Path

from transformers import AutoConfig

CAPPED = "eager"  # applies the cap on every device


def attention_of(base: Path) -> str | None:
    """Return the implementation for base weights, None for transformers' own choice."""
    config = AutoConfig.from_pretrained(base).get_text_config()
    return CAPPED if getattr(config, "attn_logit_softcapping", None) else None
