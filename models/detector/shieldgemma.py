"""ShieldGemma as an alternative to the harm probe.

The prompt follows the model card, https://huggingface.co/google/shieldgemma-2b, with one guideline
at a time. The score is P("Yes") against P("No") as the next token (Zeng et al. 2024,
https://arxiv.org/abs/2407.21772). The guidelines have the names that the model was trained with;
their texts are this project's own, because only serious harm counts here, not rudeness.

texts -> prompts (batch * guidelines) -> logits of the next token -> probabilities
(batch, guidelines) -> a category of each text, or None. Needs torch.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM

from models.attention import attention_of
from models.errors import ArtifactError
from models.safety.levels import Category

GUIDELINES: tuple[tuple[Category, str], ...] = (
    (
        Category.SELF_HARM,
        '"No Dangerous Content": The prompt shall not speak in earnest of a wish, a plan or an '
        "attempt to die, to starve or to injure oneself, nor ask how it is done.",
    ),
    (
        Category.VIOLENCE,
        '"No Dangerous Content": The prompt shall not speak in earnest of a wish, a plan or an '
        "attempt to injure or to kill another person or an animal, nor ask how it is done.",
    ),
    (
        Category.VIOLENCE,
        '"No Harassment": The prompt shall not threaten another person with violence, nor plan to '
        "stalk, to intimidate or to torment one.",
    ),
    (
        Category.VIOLENCE,
        '"No Hate Speech": The prompt shall not call for violence against people for their '
        "origin, faith, sex, disability or anything else that they are, nor deny that they are "
        "human.",
    ),
)
PREAMBLE = (
    "You are a policy expert trying to help determine whether a user prompt is in violation of the "
    "defined safety policies.\n\n"
)
EPILOGUE = (
    "\n\nDoes the human question violate the above principle? Your answer must start with 'Yes' or "
    "'No'. And then walk through step by step to be sure we answer correctly.\n"
)
THRESHOLD = 0.5
TEXT_TOKENS = 4096  # longer texts keep their last tokens; about 4,000 characters in any alphabet
FORWARD_TOKENS = 8192  # per forward pass, padding included


class ShieldGemma:
    """Loaded model, from a folder in the transformers layout."""

    def __init__(self, base: Path, device: str = "cpu") -> None:
        """Load the model. Raises ArtifactError if the tokenizer is not ShieldGemma's."""
        self._prompts = _PromptEncoder(base / "tokenizer.json")
        self._device = device
        model = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=torch.bfloat16,
            attn_implementation=attention_of(base),
        )
        self._model = model.to(device).eval()

    def categories(self, texts: Sequence[str]) -> list[Category | None]:
        """Return the category of the guideline that each text violates most clearly, or None."""
        worst = self.probabilities(texts).max(-1)
        rows = zip(worst.values.tolist(), worst.indices.tolist(), strict=True)
        return [
            GUIDELINES[index][0] if probability >= THRESHOLD else None
            for probability, index in rows
        ]

    def probabilities(self, texts: Sequence[str]) -> torch.Tensor:
        """Return P(violation) of each guideline by at least one text, `(batch, guidelines)`."""
        prompts = [
            self._prompts.encode(text, guideline) for text in texts for _, guideline in GUIDELINES
        ]
        rows = max(FORWARD_TOKENS // max(map(len, prompts)), 1)
        batches = [prompts[start : start + rows] for start in range(0, len(prompts), rows)]
        scores = torch.cat([self._yes_probability(batch) for batch in batches])
        return scores.view(len(texts), len(GUIDELINES))

    @torch.inference_mode()
    def _yes_probability(self, prompts: list[list[int]]) -> torch.Tensor:
        """Run a batch of prompts, padded on the left so that each ends at the last position."""
        ids = _pad_left([torch.tensor(prompt) for prompt in prompts])
        mask = _pad_left([torch.ones(len(prompt), dtype=torch.long) for prompt in prompts])
        output = self._model(
            input_ids=ids.to(self._device),
            attention_mask=mask.to(self._device),
            logits_to_keep=1,
        )
        answers = output.logits[:, -1, self._prompts.yes_and_no].float()
        return torch.softmax(answers, dim=-1)[:, 0].cpu()


def _pad_left(rows: list[torch.Tensor]) -> torch.Tensor:
    return pad_sequence(rows, batch_first=True, padding_side="left")


class _PromptEncoder:
    """Encoder of the prompt into token ids. A text can never become a control token."""

    def __init__(self, tokenizer_file: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.encode_special_tokens = True
        self.bos = self._id("<bos>")
        self.start_of_turn = self._id("<start_of_turn>")
        self.end_of_turn = self._id("<end_of_turn>")
        self.yes_and_no = [self._id("Yes"), self._id("No")]

    def encode(self, text: str, guideline: str) -> list[int]:
        """Encode the whole prompt of one text and one guideline."""
        message = self._ids(text.strip())[-TEXT_TOKENS:]
        principle = f"\n\nOur safety principle is defined in the below:\n\n* {guideline}"
        return [
            self.bos,
            *self._ids(PREAMBLE),
            self.start_of_turn,
            *self._ids("\nHuman Question: "),
            *message,
            *self._ids("\n"),
            self.end_of_turn,
            *self._ids(principle + EPILOGUE),
        ]

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ArtifactError(
                f"the tokenizer has no token {token}; expected ShieldGemma's tokenizer"
            )
        return int(found)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
