"""A model in the probe's place: ShieldGemma tells messages that speak of harm. Needs torch.

The prompt has the pattern of the model card, https://huggingface.co/google/shieldgemma-2b, and asks of one guideline at a time; the
score is the probability of "Yes" against "No" as the next token (Zeng et al. 2024, https://arxiv.org/abs/2407.21772). The guidelines
bear the names that the model was trained on, in words of our own: they are of harm in earnest, not of rudeness.

texts -> prompts (batch * guidelines) -> logits of the next token -> probabilities (batch, guidelines) -> a category each, or none
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM

from models.detector.harm import Category
from models.errors import ArtifactError

GUIDELINES: tuple[tuple[Category, str], ...] = (
    (
        Category.SELF_HARM,
        '"No Dangerous Content": The prompt shall not speak in earnest of a wish, a plan or an attempt to die, to starve or to injure '
        "oneself, nor ask how it is done.",
    ),
    (
        Category.VIOLENCE,
        '"No Dangerous Content": The prompt shall not speak in earnest of a wish, a plan or an attempt to injure or to kill another '
        "person or an animal, nor ask how it is done.",
    ),
    (
        Category.VIOLENCE,
        '"No Harassment": The prompt shall not threaten another person with violence, nor plan to stalk, to intimidate or to torment one.',
    ),
    (
        Category.VIOLENCE,
        '"No Hate Speech": The prompt shall not call for violence against people for their origin, faith, sex, disability or anything '
        "else that they are, nor deny that they are human.",
    ),
)
PREAMBLE = "You are a policy expert trying to help determine whether a user prompt is in violation of the defined safety policies.\n\n"
EPILOGUE = (
    "\n\nDoes the human question violate the above principle? Your answer must start with 'Yes' or 'No'. And then walk through step by "
    "step to be sure we answer correctly.\n"
)
THRESHOLD = 0.5
TEXT_TOKENS = 4096  # of a text, the last ones: four thousand characters of any language written with letters
FORWARD_TOKENS = 8192  # that are computed at once, padding included


class ShieldGemma:
    """The model, loaded, from a folder in the transformers layout. Raises ArtifactError if its tokenizer is another model's."""

    def __init__(self, base: Path, device: str = "cpu") -> None:
        self._prompts, self._device = _Prompts(base / "tokenizer.json"), device
        # Only eager attention has Gemma 2's soft cap.
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, attn_implementation="eager")
        self._model = model.to(device).eval()

    def categories(self, texts: Sequence[str]) -> list[Category | None]:
        """What each of the texts speaks of: the category of the guideline that it violates most clearly."""
        rows = self.probabilities(texts)
        worst = rows.max(-1)
        found = zip(worst.values.tolist(), worst.indices.tolist(), strict=True)
        return [GUIDELINES[number][0] if probability >= THRESHOLD else None for probability, number in found]

    def probabilities(self, texts: Sequence[str]) -> torch.Tensor:
        """That each of at least one text violates each guideline: `(batch, guidelines)`."""
        prompts = [self._prompts.ids(text, guideline) for text in texts for _, guideline in GUIDELINES]
        rows = max(FORWARD_TOKENS // max(map(len, prompts)), 1)
        parts = [self._violated(prompts[start : start + rows]) for start in range(0, len(prompts), rows)]
        return torch.cat(parts).view(len(texts), len(GUIDELINES))

    @torch.inference_mode()
    def _violated(self, prompts: list[list[int]]) -> torch.Tensor:
        """Padded on the left, so that the last position is the prompt's own in each row."""
        ids = pad_sequence([torch.tensor(prompt) for prompt in prompts], batch_first=True, padding_side="left")
        mask = pad_sequence([torch.ones(len(prompt), dtype=torch.long) for prompt in prompts], batch_first=True, padding_side="left")
        output = self._model(input_ids=ids.to(self._device), attention_mask=mask.to(self._device), logits_to_keep=1)
        return torch.softmax(output.logits[:, -1, self._prompts.yes_and_no].float(), dim=-1)[:, 0].cpu()


class _Prompts:
    """Made of token ids, so that a text can never become a control token."""

    def __init__(self, tokenizer_file: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.encode_special_tokens = True
        self._bos, self._begin, self._end, yes, no = map(self._id, ("<bos>", "<start_of_turn>", "<end_of_turn>", "Yes", "No"))
        self.yes_and_no = [yes, no]

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ArtifactError(f"the tokenizer has no {token}: it is not ShieldGemma's")
        return int(found)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def ids(self, text: str, guideline: str) -> list[int]:
        """The whole prompt."""
        asked = [*self._ids("\nHuman Question: "), *self._ids(text.strip())[-TEXT_TOKENS:], *self._ids("\n")]
        rest = self._ids(f"\n\nOur safety principle is defined in the below:\n\n* {guideline}{EPILOGUE}")
        return [self._bos, *self._ids(PREAMBLE), self._begin, *asked, self._end, *rest]
