"""The one configuration of the graph: frozen, complete, and unforgiving of a misspelt key.

It is the argument of `serve.app:build`, so a Serve config file states it under `args`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from models.manifest import ARTIFACTS

MAX_TEXTS = 256  # of one call that detects


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Replicas(_Frozen):
    """How many replicas a stage may have, and what one of them needs."""

    minimum: int = Field(default=1, ge=1)
    maximum: int = Field(default=1, ge=1)
    cpus: float = Field(default=0.5, ge=0)
    gpus: float = Field(default=0, ge=0)


DETECTORS = {"bert": {"cpu": "mpnet-base", "cuda": "mpnet-base"}, "gemma": {"cpu": "gemma-3-270m", "cuda": "gemma-2-2b"}}


class DetectorConfig(_Frozen):
    """`kind` is one word: `bert` an encoder, `gemma` a Gemma, each of the size that the device is for; `scripted` needs no weights.

    `artifact` is a folder that `training` wrote, instead of the one that `models/artifacts/detectors` has for kind and device.
    No persona answers a message that speaks of harm. With `harm` off nobody looks for one here: somebody checks before they call.
    """

    kind: Literal["bert", "gemma", "scripted"] = "bert"
    artifact: Path | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["auto", "bf16"] = Field(default="auto", description="auto: 8-bit integers where artefact and CPU allow them")
    threads: int = Field(default=1, ge=1, description="of a CPU, for the few texts that wait while people write")
    batch_threads: int = Field(default=1, ge=0, description="for many texts at once; 0: every core that the process may use")
    batch_size: int = Field(default=32, ge=1, le=256)
    harm: Literal["probe", "shieldgemma", "off"] = Field(default="probe", description="what finds messages that speak of harm")
    shieldgemma: str = Field(default="shieldgemma-2b", description="its weights: a name of the catalogue, or a folder")
    queue: int = Field(default=1024, ge=MAX_TEXTS, description="texts that may wait at a replica")
    replicas: Replicas = Replicas()

    @field_validator("harm", mode="before")
    @classmethod
    def _as_a_word(cls, given: object) -> object:
        """YAML reads a bare `off` as false."""
        return ("probe" if given else "off") if isinstance(given, bool) else given

    @property
    def folder(self) -> Path:
        """Where the artefact lies. The scripted kind has none: KeyError."""
        return self.artifact or ARTIFACTS / "detectors" / DETECTORS[self.kind][self.device]


class HardwareProfile(_Frozen):
    """What one replica of the responder runs on; the engine's limits follow from it and from the adapters."""

    device: Literal["cpu", "cuda"] = "cpu"
    kv_cache_gib: float = Field(default=1, gt=0, description="on a CPU; on a GPU see gpu_memory_utilization")
    gpu_memory_utilization: float = Field(default=0.85, gt=0, lt=1)
    max_num_seqs: int = Field(default=32, ge=1)
    max_model_len: int = Field(default=2048, ge=256)
    tensor_parallel_size: int = Field(default=1, ge=1)


class ResponderConfig(_Frozen):
    """`adapters` is a folder with one adapter a persona; a persona without one is the base model with an instruction."""

    kind: Literal["vllm", "scripted"] = "vllm"
    base: str = "gemma-3-270m"
    adapters: Path | None = ARTIFACTS / "adapters"
    releases: Path | None = Field(default=None, description="file in which promoted adapters outlive all replicas; none: they do not")
    hardware: HardwareProfile = HardwareProfile()
    coalesce_ms: float = Field(default=15, ge=0, description="how long later deltas may be joined under load; the first never waits")
    coalesce_from: int = Field(default=8, ge=1, description="running requests from which deltas are joined")
    queue: int = Field(default=64, ge=0, description="requests that may wait at a replica for a place in the batch")
    scripted_token_s: float = Field(default=0.005, ge=0, description="time that a token takes with the scripted kind")
    scripted_beside_s: float = Field(default=0, ge=0, description="what each answer that is written beside it adds to that")
    replicas: Replicas = Replicas(cpus=1)


class KeysConfig(_Frozen):
    """Where the API keys are: in a file, or in an environment variable that holds what the file would.

    Without either there are none, which is refused where the server listens beyond loopback, unless `unneeded` says that somebody in
    front of it checks who comes.
    """

    file: Path | None = None
    variable: str | None = None
    unneeded: bool = False


Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")]


class IngressConfig(_Frozen):
    """The stage that speaks HTTP, and what it takes of one request."""

    replicas: Replicas = Replicas(cpus=0.1)
    default_timeout_ms: int = Field(default=60_000, ge=1, description="of a request that sends no x-request-timeout-ms")
    max_timeout_ms: int = Field(default=120_000, ge=1, description="the highest x-request-timeout-ms; a drain waits as long")
    max_body_bytes: int = Field(default=2 * 2**20, ge=1024)
    body_timeout_s: float = Field(default=10, gt=0, description="in which a whole body must have come")
    region: str | None = Field(default=None, pattern="^[A-Z]{2}$", description="ISO 3166; whose helplines are named without an x-region")
    send_timeout_s: float = Field(default=10, gt=0, description="in which a reader must take each piece of an answer")
    cors_origins: tuple[Origin, ...] = Field(default=(), description="whose pages may call from a browser, as https://example.org; none")


class TracingConfig(_Frozen):
    """Where traces go; by default there are none."""

    endpoint: str | None = Field(
        default=None, pattern="^https?://", description="of a collector that speaks OTLP over HTTP, as http://127.0.0.1:4318/v1/traces"
    )


NO_TRACES = TracingConfig()


class ServeConfig(_Frozen):
    """The whole graph."""

    ingress: IngressConfig = IngressConfig()
    detector: DetectorConfig = DetectorConfig()
    responder: ResponderConfig = ResponderConfig()
    api_keys: KeysConfig = KeysConfig()
    tracing: TracingConfig = NO_TRACES


SCRIPTED = ServeConfig(detector=DetectorConfig(kind="scripted"), responder=ResponderConfig(kind="scripted"))
