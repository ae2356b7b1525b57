"""Written contrasts: a message, an answer that makes sense, and one that nearly does.

training/data/contrasts.jsonl -> contrasts -> rows of the critic
"""

from models.emotions import Emotion
from models.schema import FrozenModel
from training.datasets.persona_pairs import DATA
from training.datasets.read_labels import is_held_out

FILE = DATA / "contrasts.jsonl"


class Contrast(FrozenModel):
    """A message with its right answer, and a wrong one in the same voice."""

    persona: Emotion
    message: str
    answer: str
    wrong: str

    @property
    def is_held_out(self) -> bool:
        """Whether the critic must not be trained on the message."""
        return is_held_out(self.message)


def load_contrasts() -> list[Contrast]:
    """Load all contrasts, held out or not."""
    lines = FILE.read_text("utf-8").splitlines()
    return [Contrast.model_validate_json(line) for line in lines]
