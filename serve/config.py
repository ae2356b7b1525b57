"""Configuration of the graph: one frozen pydantic model that forbids unknown keys.

It is the argument of `serve.app:build`, so a Serve config file states it under `args`.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.manifest import ARTIFACTS
from models.schema import Sha256
from serve.errors import ConfigError

MAX_TEXTS = 256  # in one call of /v1/detect
FEWEST_TOKENS = 64  # a text costs the detector as much as one of this length, however short it is


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Replicas(_Frozen):
    """Bounds of a deployment's replicas, and the resources of one of them."""

    minimum: int = Field(default=1, ge=0)
    maximum: int = Field(default=1, ge=1)
    cpus: float = Field(default=0.5, ge=0)
    gpus: float = Field(default=0, ge=0)
    per_node: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="most of them on one node, so that its loss leaves others; default: no limit",
    )

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.maximum < self.minimum:
            raise ValueError(f"maximum {self.maximum} is less than minimum {self.minimum}")
        return self


DETECTORS = {
    "encoder": {"cpu": "minilm-l6", "cuda": "minilm-l6"},
    "mpnet": {"cpu": "mpnet-base", "cuda": "mpnet-base"},
    "gemma": {"cpu": "gemma-3-270m", "cuda": "gemma-2-2b"},
}


class DetectorConfig(_Frozen):
    """The detector deployment."""

    kind: Literal["encoder", "mpnet", "gemma", "scripted"] = Field(
        default="encoder",
        description="`mpnet` is the teacher of `encoder`; `scripted` needs no weights",
    )
    artifact: Path | None = Field(
        default=None,
        description="folder written by `training`; default: the shipped one of kind and device",
    )
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["auto", "bf16"] = Field(
        default="auto", description="auto: int8 where the artefact and the CPU allow it"
    )
    threads: int = Field(default=1, ge=1, description="CPU threads for small batches")
    batch_threads: int = Field(
        default=1, ge=0, description="CPU threads for large batches; 0: every usable core"
    )
    batch_size: int = Field(default=32, ge=1, le=256)
    harm: Literal["classifier", "shieldgemma", "off"] = Field(
        default="classifier",
        description="safety check; `off` only behind an upstream moderation service",
    )
    shieldgemma: str = Field(
        default="shieldgemma-2b", description="its weights: a catalogue name or a folder"
    )
    queue: int = Field(default=1024, ge=MAX_TEXTS, description="texts that wait at a replica")
    replicas: Replicas = Replicas()

    @field_validator("harm", mode="before")
    @classmethod
    def _yaml_off_is_a_string(cls, value: object) -> object:
        """Accept YAML's bare `off`, which is parsed as false."""
        return ("classifier" if value else "off") if isinstance(value, bool) else value

    @property
    def folder(self) -> Path:
        """Folder of the artefact. Raises ConfigError for the scripted kind, which has none."""
        if self.artifact is not None:
            return self.artifact
        if self.kind == "scripted":
            raise ConfigError("the scripted detector has no artefact; set detector.kind")
        return ARTIFACTS / "detectors" / DETECTORS[self.kind][self.device]


class HardwareProfile(_Frozen):
    """Hardware of one responder replica. The engine's limits follow from it."""

    device: Literal["cpu", "cuda"] = "cpu"
    kv_cache_gib: float = Field(default=1, gt=0, description="on a CPU only")
    gpu_memory_utilization: float = Field(default=0.85, gt=0, lt=1, description="on a GPU only")
    max_num_seqs: int = Field(default=32, ge=1)
    max_model_len: int = Field(default=2048, ge=256)
    tensor_parallel_size: int = Field(default=1, ge=1, description="GPUs of one engine; only 1")

    @field_validator("tensor_parallel_size")
    @classmethod
    def _check_tested(cls, value: int) -> int:
        """Refuse what has never run: a wrong split of an adapter would only change its answers."""
        if value > 1:
            raise ValueError(
                f"an engine on {value} GPUs has never been tested with adapters; Gemma 2 2B fits "
                "one GPU of 16 GB: use replicas for more throughput"
            )
        return value


class ScriptedConfig(_Frozen):
    """Schedule of the scripted engine."""

    token_s: float = Field(default=0.005, ge=0, description="time a token takes")
    token_s_per_running: float = Field(
        default=0, ge=0, description="added to it for each answer that is being written"
    )
    poison: str | None = Field(
        default=None, min_length=1, description="stop string whose request kills its replica"
    )


class BlendConfig(_Frozen):
    """Mixes of personas and other intensities than 1. Each takes a slot in the engine."""

    resident: int = Field(
        default=8, ge=0, le=64, description="mixes resident at once; 0 turns them off"
    )
    personas: int = Field(
        default=2, ge=1, le=6, description="personas of one mix; their ranks add up"
    )
    auto_below: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="`auto` blends the two likeliest emotions if the first scores less",
    )

    @model_validator(mode="after")
    def _check_auto(self) -> Self:
        if self.auto_below is not None and (self.personas < 2 or not self.resident):
            raise ValueError("auto_below needs personas of at least 2 and resident of at least 1")
        return self


class GuardConfig(_Frozen):
    """Guard of trials: it rolls a version back that is worse than the one in use.

    A margin is how much worse a version may be. See `serve.adapters.comparison`.
    """

    enabled: bool = Field(default=True, description="false: only compare")
    min_answers: int = Field(
        default=50, ge=10, description="of a version on trial, before a measure is judged"
    )
    errors: float = Field(default=0.05, gt=0, le=1, description="margin of the share of errors")
    cut: float = Field(
        default=0.2, gt=0, le=1, description="margin of the share that ends at max_tokens"
    )
    tokens: float = Field(
        default=0.5, gt=0, description="margin of the mean length, as a share of the old one's"
    )
    other_emotion: float = Field(
        default=0.15, gt=0, le=1, description="margin of the share with another emotion"
    )
    classified: float = Field(
        default=0.5, ge=0, le=1, description="share of the answers that the detector reads"
    )


class ResponderConfig(_Frozen):
    """The responder deployment: HTTP, pipeline and engine."""

    kind: Literal["vllm", "scripted"] = "vllm"
    base: str = Field(default="gemma-3-270m", description="a catalogue name or a folder")
    adapters: Path | None = Field(
        default=ARTIFACTS / "adapters",
        description="one adapter a persona; a persona without one answers by instruction",
    )
    releases: Path | None = Field(
        default=None, description="file in which promoted versions survive a restart"
    )
    store: str | None = Field(
        default=None,
        min_length=1,
        description="copies of all adapters: a folder that is the same on every node, or a URL "
        "such as s3://bucket/adapters; default: `adapter-store` next to `releases`, else in the "
        "cache",
    )
    publish_roots: tuple[Path, ...] = Field(
        default=(Path("runs"),), description="adapters are published from below these folders only"
    )
    guard: GuardConfig = GuardConfig()
    blends: BlendConfig = BlendConfig()
    hardware: HardwareProfile = HardwareProfile()
    candidates: int = Field(
        default=1, ge=1, le=16, description="answers written at once, of which the critic picks one"
    )
    critic: str | None = Field(
        default=None,
        min_length=1,
        description="a name in models/artifacts, or a folder; it runs in the detector's process",
    )
    coalesce_from: int = Field(
        default=8, ge=1, description="running requests from which chunks are joined"
    )
    coalesce_ms_per_running: float = Field(
        default=1.6, ge=0, description="chunks are joined for that long, times running requests"
    )
    coalesce_max_ms: float = Field(default=200, ge=0)
    queue: int = Field(default=64, ge=0, description="requests that wait for a slot of the batch")
    scripted: ScriptedConfig = ScriptedConfig()
    replicas: Replicas = Replicas(cpus=1)

    @model_validator(mode="after")
    def _check_candidates(self) -> Self:
        """Refuse candidates of which nothing can pick one, and more than the batch can hold."""
        if self.candidates > 1 and self.critic is None:
            raise ValueError(
                f"candidates {self.candidates} needs a critic that picks one of the answers: set "
                "critic to the folder of one (see docs/training.md), or candidates to 1"
            )
        if self.candidates > self.hardware.max_num_seqs:
            raise ValueError(
                f"candidates {self.candidates} is more than hardware.max_num_seqs "
                f"{self.hardware.max_num_seqs}: lower candidates"
            )
        return self

    @property
    def critic_folder(self) -> Path | None:
        """Folder of the critic that detectors load; None with one candidate."""
        if self.critic is None or self.candidates == 1:
            return None
        shipped = ARTIFACTS / self.critic
        return shipped if shipped.is_dir() else Path(self.critic)


class KeysConfig(_Frozen):
    """Source of the API keys: a file, or an environment variable that holds its text.

    Without either there are no keys, which is refused where the server listens beyond loopback.
    """

    file: Path | None = None
    variable: str | None = None
    unneeded: bool = Field(
        default=False, description="a gateway in front of the server authenticates the clients"
    )
    admin_sha256: Sha256 | None = Field(
        default=None, description="hash of the key for administration where there are no other keys"
    )

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if self.file is not None and self.variable is not None:
            raise ValueError(
                "file and variable are both set, and only one can be the source of the keys: "
                "remove one of them"
            )
        return self


Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s]+)$")]


class HttpConfig(_Frozen):
    """Limits of one HTTP request."""

    default_timeout_ms: int = Field(
        default=60_000, ge=1, description="of a request without x-request-timeout-ms"
    )
    max_timeout_ms: int = Field(
        default=120_000, ge=1, description="largest x-request-timeout-ms; a drain waits as long"
    )
    max_body_bytes: int = Field(default=2 * 2**20, ge=1024)
    max_bytes_in_flight: int = Field(
        default=64 * 2**20, ge=1024, description="bodies that a replica holds at once"
    )
    body_timeout_s: float = Field(default=10, gt=0, description="for a whole request body")
    send_timeout_s: int = Field(
        default=10, ge=1, description="for a client to read a part of its answer"
    )
    drain_s: float = Field(
        default=20, ge=0, description="for running requests to end when `serve run` is stopped"
    )
    region: str | None = Field(
        default=None, pattern="^[A-Z]{2}$", description="ISO 3166; helplines without an x-region"
    )
    cors_origins: tuple[Origin, ...] = Field(
        default=(), description="origins whose pages may call, as https://example.org"
    )
    allowed_hosts: tuple[str, ...] | None = Field(
        default=None,
        description="names in the Host header, without a port; default: loopback's on loopback,"
        " any elsewhere",
    )

    @property
    def timeout_ms(self) -> int:
        """Timeout of a request without `x-request-timeout-ms`."""
        return min(self.default_timeout_ms, self.max_timeout_ms)


class TracingConfig(_Frozen):
    """Destination of traces. There are none by default."""

    endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="collector of OTLP over HTTP, as http://127.0.0.1:4318/v1/traces",
    )


NO_TRACES = TracingConfig()


def _check_gpus(part: str, device: str, gpus: float) -> None:
    if device == "cuda" and not gpus:
        raise ValueError(
            f"{part} is on device cuda but reserves no GPU, so Ray would place it without one: set "
            f"{part}.replicas.gpus"
        )


class ServeConfig(_Frozen):
    """The whole graph."""

    http: HttpConfig = HttpConfig()
    detector: DetectorConfig = DetectorConfig()
    responder: ResponderConfig = ResponderConfig()
    api_keys: KeysConfig = KeysConfig()
    tracing: TracingConfig = NO_TRACES
    scaling: Literal["serve", "coupled"] = Field(
        default="serve",
        description="coupled: by `serve.capacity.ray_policy`, which the Serve config names as well",
    )

    @model_validator(mode="after")
    def _check_gpu_shares(self) -> Self:
        """Refuse parts on a GPU that reserve none, and a shared GPU that is too small.

        The engine takes its share of the whole memory. A detector on the same GPU needs the rest.
        """
        detector, responder = self.detector, self.responder
        _check_gpus("detector", detector.device, detector.replicas.gpus)
        if responder.kind == "vllm":
            _check_gpus("responder", responder.hardware.device, responder.replicas.gpus)
        together = detector.replicas.gpus + responder.replicas.gpus
        shared = detector.replicas.gpus > 0 and together <= 1
        if shared and responder.hardware.gpu_memory_utilization > responder.replicas.gpus:
            raise ValueError(
                "detector and responder may share a GPU, and the engine would take "
                f"{responder.hardware.gpu_memory_utilization:g} of its memory, more than the "
                f"{responder.replicas.gpus:g} that the responder reserves: lower "
                "hardware.gpu_memory_utilization, or put the detector on the CPU"
            )
        return self


SCRIPTED = ServeConfig(
    detector=DetectorConfig(kind="scripted"), responder=ResponderConfig(kind="scripted")
)
