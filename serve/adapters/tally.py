"""Counts of the answers of an adapter version, of which no text is kept."""

from typing import Self

from pydantic import Field

from models.schema import FrozenModel

TallyKey = tuple[str, int]  # name of a version, and `started` of the trial in which it is counted


class Tally(FrozenModel):
    """Counts of one version's answers; tallies are added with `+`.

    Attributes:
        answers: answers that ended, whether well or not.
        errors: those that failed or timed out.
        limited: those without an error that the client allowed fewer tokens than the default, or
            no other end than that; nothing is counted of their length.
        cut: those of the others that ended at `max_tokens`.
        tokens: tokens of these others.
        squared_tokens: sum of the squares of their numbers of tokens.
        classified: answers that the detector has read.
        other_emotion: those in which it sees another emotion than the persona's.
    """

    answers: int = Field(default=0, ge=0)
    errors: int = Field(default=0, ge=0)
    limited: int = Field(default=0, ge=0)
    cut: int = Field(default=0, ge=0)
    tokens: int = Field(default=0, ge=0)
    squared_tokens: int = Field(default=0, ge=0)
    classified: int = Field(default=0, ge=0)
    other_emotion: int = Field(default=0, ge=0)

    @classmethod
    def error(cls) -> Self:
        """Return the count of an answer that failed or timed out."""
        return cls(answers=1, errors=1)

    @classmethod
    def answer(cls, tokens: int, cut: bool) -> Self:
        """Return the count of an answer that was written."""
        return cls(answers=1, cut=int(cut), tokens=tokens, squared_tokens=tokens**2)

    @classmethod
    def limited_answer(cls) -> Self:
        """Return the count of an answer whose length the client decided."""
        return cls(answers=1, limited=1)

    @classmethod
    def emotion(cls, other: bool) -> Self:
        """Return the count of an answer that was classified; it is counted elsewhere as well."""
        return cls(classified=1, other_emotion=int(other))

    @property
    def written(self) -> int:
        """Answers without an error whose length the client did not decide."""
        return self.answers - self.errors - self.limited

    def __add__(self, other: "Tally") -> "Tally":
        """Return the counts of both."""
        return Tally(
            **{name: getattr(self, name) + getattr(other, name) for name in Tally.model_fields}
        )
