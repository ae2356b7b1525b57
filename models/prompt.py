"""The one prompt format, used by training and serving alike.

    Friend: I got the job!
    Joy: You did it! Tell me everything.<eos>

Gemma's turn tokens are not used, for the pretrained weights hardly know them: before any training the end of a held-out answer costs
23.2 nats as `<end_of_turn>` and 4.9 as `<eos>`, and a token of it 4.55 nats in turns and 4.36 so. Token ids are made here, never by the
engine, so that `<bos>` is always there and a user's text can never become a control token.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tokenizers import Tokenizer

from models.errors import ArtifactError

PROMPT_VERSION = "friend-1"
USER = "Friend"
BASE_SPEAKER = "Answer"
PERSONA_STOP = "\n"  # a turn is one line
BASE_STOP = f"\n{USER}:"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation: the person's, or an earlier answer."""

    role: Literal["user", "assistant"]
    text: str


class PromptEncoder:
    """Turns a conversation into token ids. Stateless after construction, safe to share."""

    def __init__(self, tokenizer_file: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self.tokenizer.encode_special_tokens = True
        self.bos_id = self._control_id("<bos>")
        self.eos_id = self._control_id("<eos>")

    def _control_id(self, token: str) -> int:
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise ArtifactError(f"the tokenizer has no {token}: it is not a Gemma tokenizer")
        return int(found)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def prompt(self, speaker: str, turns: Sequence[Turn], instruction: str | None = None) -> list[int]:
        """Token ids that end where `speaker` starts to answer. `instruction` stands first, for a persona without an adapter."""
        lines = [one_line(instruction)] if instruction else []
        lines += [f"{USER if turn.role == 'user' else speaker}: {one_line(turn.text)}" for turn in turns]
        return [self.bos_id, *self._ids("\n".join([*lines, f"{speaker}:"]))]

    def completion(self, answer: str) -> list[int]:
        """Token ids of a whole answer, `<eos>` included: what a persona is trained to write."""
        return [*self._ids(f" {one_line(answer)}"), self.eos_id]

    def text(self, ids: Sequence[int]) -> str:
        """The text of generated token ids, control tokens left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def line_end_ids(self) -> list[int]:
        """Every token that ends a line: where a persona's turn is over."""
        return sorted(number for word, number in self.tokenizer.get_vocab(with_added_tokens=True).items() if "\n" in word)


def one_line(text: str) -> str:
    """A turn is one line: white space of any kind becomes one space, so that a text cannot forge a turn."""
    return re.sub(r"\s+", " ", text).strip()
