"""Prompt format of the personas, shared by training and serving.

    Friend: I got the job!
    Joy: You did it! Tell me everything.<eos>

Gemma's turn tokens are not used, because the pretrained weights hardly know them. Before any
training the end of a held-out answer costs 23.2 nats as `<end_of_turn>` but 4.9 as `<eos>`, and
a token of the answer costs 4.55 nats in turns but 4.36 in this format. Token ids are built here
and not by the engine, so that `<bos>` is always present and a user's text can never become a
control token.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tokenizers import AddedToken, Tokenizer

from models.errors import ArtifactError

PROMPT_VERSION = "friend-1"
USER = "Friend"
BASE_SPEAKER = "Answer"
PERSONA_STOP = "\n"  # a turn is one line
BASE_STOP = f"\n{USER}:"
# Tokens that a vocabulary lists apart although they are ordinary text: white space and HTML tags.
ORDINARY = re.compile(r"[\s▁]*|</?[a-z]+\d?>")


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, from the user or an earlier answer."""

    role: Literal["user", "assistant"]
    text: str


class PromptEncoder:
    """Encoder of conversations into token ids; stateless after construction, safe to share."""

    def __init__(self, tokenizer_file: Path) -> None:
        """Load the tokenizer. Raises ArtifactError if it lacks Gemma's control tokens."""
        self.tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self.tokenizer.encode_special_tokens = True
        _make_special(self.tokenizer)
        self._longest_token = _longest_token(self.tokenizer)
        self.bos_id = self._control_id("<bos>")
        self.eos_id = self._control_id("<eos>")

    def prompt(
        self, speaker: str, turns: Sequence[Turn], instruction: str | None = None
    ) -> list[int]:
        """Encode a conversation up to the point where `speaker` answers.

        `instruction` comes first; it is for a persona without an adapter.
        """
        lines = [one_line(instruction)] if instruction else []
        for turn in turns:
            name = USER if turn.role == "user" else speaker
            lines.append(f"{name}: {one_line(turn.text)}")
        lines.append(f"{speaker}:")
        return [self.bos_id, *self._ids("\n".join(lines))]

    def fewest_tokens(self, turns: Sequence[Turn]) -> int:
        """Return a number of tokens that a prompt surely exceeds, without encoding it.

        It follows from the number of characters, so it costs nothing however long the texts are.
        White space counts, although a prompt has no runs of it.
        """
        return sum(len(turn.text) for turn in turns) // self._longest_token

    def completion(self, answer: str) -> list[int]:
        """Encode a whole answer with its final `<eos>`, as the target of training."""
        return [*self._ids(f" {one_line(answer)}"), self.eos_id]

    def text(self, ids: Sequence[int]) -> str:
        """Decode generated token ids, without control tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def line_end_ids(self) -> list[int]:
        """Return every token that contains a newline, and so ends a persona's turn."""
        vocabulary = self.tokenizer.get_vocab(with_added_tokens=True)
        return sorted(token_id for token, token_id in vocabulary.items() if "\n" in token)

    def _control_id(self, token: str) -> int:
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise ArtifactError(f"the tokenizer has no token {token}; expected Gemma's tokenizer")
        return int(found)

    def _ids(self, text: str) -> list[int]:
        # Encoding a batch, unlike a text, lets other threads of the process run.
        [encoding] = self.tokenizer.encode_batch([text], add_special_tokens=False)
        return list(encoding.ids)


def _make_special(tokenizer: Tokenizer) -> None:
    """Let the names of all control tokens be encoded as text.

    Some of Gemma's, as `<start_of_image>`, are user-defined tokens and not special ones.
    """
    added = tokenizer.get_added_tokens_decoder().values()
    names = [token.content for token in added if not ORDINARY.fullmatch(token.content)]
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names])


def _longest_token(tokenizer: Tokenizer) -> int:
    """Return the number of characters of the longest token that one line of text can have."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    return max(len(token.strip().strip("▁")) for token in vocabulary) + 1


def one_line(text: str) -> str:
    """Replace every run of white space with one space, so that no text forges a turn."""
    return re.sub(r"\s+", " ", text).strip()
