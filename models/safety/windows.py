"""Windows over the tokens of a conversation, so that a text of any length is read whole.

turns -> tokens of each turn, ended by a separator -> windows of MAX_TOKENS that overlap

The token type says who wrote a token: 0 the user, 1 the persona.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer

from models.errors import ArtifactError
from models.prompt import Turn
from models.text.normalize import normalize

MAX_TOKENS = 96  # of a window, with its first and last token
OVERLAP = 32  # tokens that two neighbours share: most sentences are shorter
USER = 0
PERSONA = 1


@dataclass(frozen=True, slots=True)
class Window:
    """Token ids of a window, and the type of each."""

    ids: tuple[int, ...]
    types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of a conversation.

    Attributes:
        windows: in the order of the conversation.
        complete: whether they cover all of it.
    """

    windows: tuple[Window, ...]
    complete: bool


class WindowEncoder:
    """Encoder of conversations into windows of one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take over the tokenizer: its truncation and padding are switched off.

        Raises ArtifactError if it is not BERT's.
        """
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # no text becomes a control token
        self._tokenizer = tokenizer
        self._cls = self._id("[CLS]")
        self._sep = self._id("[SEP]")

    def encode(self, turns: Sequence[Turn], budget: int | None = None) -> Windows:
        """Encode the turns, the newest of them if there are more than `budget` tokens.

        The last turn is the user's. The windows are laid from the end, so the last one ends with
        it. A window that holds nothing that the user wrote is left out.
        """
        body: list[tuple[int, int]] = []
        read = 0
        while read < len(turns) and (budget is None or len(body) <= budget):
            read += 1
            body = self._turn(turns[-read]) + body
        complete = read == len(turns) and (budget is None or len(body) <= budget)
        body = body if complete or budget is None else body[-budget:]
        parts = [body[end - size : end] for end, size in _window_ends(len(body))]
        said = [part for part in parts if any(who == USER for _, who in part)]
        return Windows(tuple(map(self._window, said)), complete)

    def _id(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ArtifactError(f"the tokenizer has no token {token}; expected BERT's tokenizer")
        return int(found)

    def _turn(self, turn: Turn) -> list[tuple[int, int]]:
        """Return `(id, type)` of the tokens of a turn and of the separator after it."""
        who = USER if turn.role == "user" else PERSONA
        ids = self._tokenizer.encode(normalize(turn.text), add_special_tokens=False).ids
        return [(token, who) for token in (*ids, self._sep)]

    def _window(self, body: Sequence[tuple[int, int]]) -> Window:
        ids, types = zip((self._cls, USER), *body, strict=True)
        if ids[-1] != self._sep:
            ids, types = (*ids, self._sep), (*types, types[-1])
        return Window(ids, types)


def _window_ends(tokens: int) -> list[tuple[int, int]]:
    """Return `(end, size)` of the windows over so many tokens, the first window first."""
    room = MAX_TOKENS - 2
    ends = [(tokens, min(tokens, room))]
    while (start := ends[0][0] - ends[0][1]) > 0:
        end = max(start + OVERLAP, min(room, tokens))
        ends.insert(0, (end, min(end, room)))
    return ends
