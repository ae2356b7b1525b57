"""Speed of one responder replica and of one detector replica on a kind of machine.

A profile is a TOML file. Those in `deploy/hardware` are measured or derived; `source` says which,
and everything that is computed from a derived one repeats it.
"""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from serve.errors import ConfigError

BASIS_TOKENS = 200  # of context, which `step_ms_per_answer` includes
CHUNKS_PER_TOKEN = 0.25  # chunks are joined under load: 7.8 for 32 tokens were measured


class Hardware(BaseModel):
    """Profile of a kind of machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: Literal["measured", "derived"]
    basis: str = Field(description="command and page, or bandwidth and arithmetic")
    gpus: float = Field(ge=0, description="of one responder replica")
    replicas_per_node: int = Field(ge=1, description="responders on one machine")
    node_cost_per_hour: float = Field(ge=0, description="in any currency; 0: not known")
    step_ms: float = Field(gt=0, description="one token of one answer")
    step_ms_per_answer: float = Field(ge=0, description="added for each answer in the batch")
    step_ms_per_context_token: float = Field(
        default=0, ge=0, description=f"added for each token of an answer beyond {BASIS_TOKENS}"
    )
    prefill_ms_per_token: float = Field(ge=0)
    slots: int = Field(ge=1, description="answers in the batch")
    kv_tokens: int = Field(ge=1, description="tokens of all answers in the engine's KV cache")
    context_tokens: int = Field(ge=1, description="most tokens of a prompt and its answer")
    cpu_ms_per_answer: float = Field(ge=0, description="responder process, fixed part")
    cpu_ms_per_chunk: float = Field(ge=0, description="responder process, each chunk")
    start_s: float = Field(gt=0, description="from the decision to a responder that answers")
    detector_texts_per_s: float = Field(gt=0, description="one detector replica")
    detector_cpus: float = Field(ge=0, description="one detector replica")
    detector_start_s: float = Field(default=20, gt=0)

    def token_ms(self, answers: float, context: float = BASIS_TOKENS) -> float:
        """Return the time of a token while that many answers of so many tokens are generated."""
        longer = max(context - BASIS_TOKENS, 0)
        return self.step_ms + answers * (
            self.step_ms_per_answer + self.step_ms_per_context_token * longer
        )

    def cpu_ms(self, tokens: float) -> float:
        """Return the time of the responder's one event loop for an answer."""
        return self.cpu_ms_per_answer + self.cpu_ms_per_chunk * tokens * CHUNKS_PER_TOKEN


def read_hardware(file: Path) -> Hardware:
    """Read a profile.

    Raises:
        ConfigError: the file is missing or not a profile.
    """
    try:
        return Hardware.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} is not a hardware profile: {error}") from error
