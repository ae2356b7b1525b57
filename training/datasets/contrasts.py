"""Written contrasts: a message, an answer that makes sense, and one that nearly does.

training/data/contrasts.jsonl -> contrasts -> rows of the critic
"""

from models.emotions import Emotion
from models.prompt import Turn
from models.schema import FrozenModel
from training.datasets.persona_pairs import DATA
from training.datasets.read_labels import is_held_out

FILE = DATA / "contrasts.jsonl"


class Contrast(FrozenModel):
    """A message with its right answer, and a wrong one in the same voice.

    Attributes:
        earlier: turns before the message.
        wrong: nearly right.
    """

    persona: Emotion
    earlier: tuple[Turn, ...] = ()
    message: str
    answer: str
    wrong: str

    @property
    def conversation(self) -> list[Turn]:
        """Turns up to the answer; the message is the last of them."""
        return [*self.earlier, Turn("user", self.message)]

    @property
    def is_held_out(self) -> bool:
        """True if the critic must not be trained on the message."""
        return is_held_out(self.message)


def load_contrasts() -> list[Contrast]:
    """Load all contrasts, held out or not."""
    lines = FILE.read_text("utf-8").splitlines()
    return [Contrast.model_validate_json(line) for line in lines]
