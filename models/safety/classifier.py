"""Safety classifier: levels of whole conversations.

turns -> windows -> probabilities (windows, outcomes) -> the most serious finding of all windows

A window is a crisis if P(crisis) reaches its threshold, else a concern if P(concern or crisis)
reaches that of a concern. Needs torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import linear

from models.encoder.bert import BertEncoder, EncoderShape
from models.encoder.rows import restore_rows
from models.errors import ManifestError
from models.machine.precision import fastest_dtype
from models.manifest import SAFETY_ARTIFACT, SafetyManifest, Thresholds
from models.prompt import Turn
from models.safety.levels import CONCERN, CRISES, Finding
from models.safety.pooling import pool
from models.safety.windows import Window, WindowEncoder
from models.weights.cache import materialize

ENCODER = "bert."  # begins the names of the artifact's tensors of the encoder
TOKEN_BUDGET = 2048  # newest tokens of a conversation; 34 windows at most
# On a CPU eight windows use it as well as more do, and have less padding.
WINDOWS_PER_PASS = {"cpu": 8, "cuda": 64}


@dataclass(frozen=True, slots=True)
class Safety:
    """Result for one conversation.

    Attributes:
        finding: None if nothing in it speaks of harm.
        complete: whether all of it was read.
    """

    finding: Finding | None
    complete: bool


class SafetyClassifier:
    """Loaded artifact of the safety classifier."""

    def __init__(self, folder: Path = SAFETY_ARTIFACT, device: str = "cpu") -> None:
        """Load the weights. Raises ManifestError if they do not match their manifest."""
        self.manifest = SafetyManifest.read(folder)
        file = self.manifest.check_weights(folder)
        base = materialize(self.manifest.base)
        if base.sha256 != self.manifest.base_hash:
            raise ManifestError(
                f"{folder.name}: base weights {base.name} have sha256 {base.sha256[:12]}, "
                f"expected {self.manifest.base_hash[:12]}"
            )
        dtype = fastest_dtype(device)
        tensors = {
            f"{ENCODER}{name}": tensor.to(dtype)
            for name, tensor in load_file(base.folder / "model.safetensors").items()
        }
        tensors |= restore_rows(load_file(file), dtype)
        placed = {name.removeprefix(ENCODER): one.to(device) for name, one in tensors.items()}
        self._encode = BertEncoder(placed, EncoderShape.read(base.folder))
        self._head = placed["classifier.weight"], placed["classifier.bias"]
        self._device = device
        tokenizer = Tokenizer.from_file(str(base.folder / "tokenizer.json"))
        self.encoder = WindowEncoder(tokenizer)

    def classify(self, conversations: Sequence[Sequence[Turn]]) -> list[Safety]:
        """Return the finding of each conversation, the most serious one of its windows."""
        encoded = [self.encoder.encode(turns, TOKEN_BUDGET) for turns in conversations]
        flat = [window for one in encoded for window in one.windows]
        rows = iter(self.probabilities(flat))
        found = []
        for one in encoded:
            own = torch.stack([next(rows) for _ in one.windows])
            found.append(Safety(worst_finding(own, self.manifest.thresholds), one.complete))
        return found

    @torch.inference_mode()
    def probabilities(self, windows: Sequence[Window]) -> Tensor:
        """Return probabilities `(windows, outcomes)` in the order of the windows."""
        by_length = sorted(range(len(windows)), key=lambda number: len(windows[number].ids))
        parts = []
        step = WINDOWS_PER_PASS[self._device]
        for start in range(0, len(windows), step):
            numbers = by_length[start : start + step]
            parts.append(self._forward([windows[number] for number in numbers]))
        return torch.cat(parts)[torch.tensor(by_length).argsort()]

    def _forward(self, windows: Sequence[Window]) -> Tensor:
        longest = max(len(window.ids) for window in windows)
        ids = _padded([window.ids for window in windows], longest)
        types = _padded([window.types for window in windows], longest)
        lengths = torch.tensor([len(window.ids) for window in windows])
        mask = torch.arange(longest) < lengths[:, None]
        ids, types, mask = (tensor.to(self._device) for tensor in (ids, types, mask))
        pooled = pool(self._encode(ids, types, mask), mask, self.manifest.pooling)
        return torch.softmax(linear(pooled, *self._head).float(), dim=-1).cpu()


def worst_finding(probabilities: Tensor, thresholds: Thresholds) -> Finding | None:
    """Return the most serious finding of windows with probabilities `(windows, outcomes)`."""
    crisis = probabilities[:, 2:].sum(1)
    window = int(crisis.argmax())
    if float(crisis[window]) >= thresholds.crisis:
        return CRISES[int(probabilities[window, 2:].argmax())]
    either = float(1 - probabilities[:, 0].min())
    return CONCERN if either >= thresholds.concern else None


def _padded(rows: Sequence[Sequence[int]], length: int) -> Tensor:
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
