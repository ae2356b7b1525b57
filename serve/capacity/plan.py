"""Plans a fleet for a rate: replicas, GPUs, cost, the bottleneck, and what a lost node leaves.

One responder is the engine's batch and one event loop. With `n` answers in the batch an answer of
`a` tokens takes `a * token_ms(n)`, and every new prompt stops the batch for its prefill:

    answers/s of the engine     = n / (a * token_s(n) + n * prefill_s)
    answers/s of the event loop = 1 / cpu_s(a)

A fleet is sized for a share of both, so that bursts do not queue. Little's law then says how many
answers are in the batch at the rate, and so the time to the first text. The KV cache bounds `n`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from serve.capacity.hardware import Hardware
from serve.errors import ConfigError

BUSY = 0.8  # share of the batch, and of an event loop, in use at the rate
MOST_CPU = 0.9  # share of an event loop in use, beyond which its own queue breaks the objective
DETECTOR_BUSY = 0.6
ENGINE = "the engine's batch"
CPU = "the CPU of the responder's process"
DETECTION_MARGIN = (
    3  # detection takes that many times as long as the text alone: it waits for a batch
)


@dataclass(frozen=True, slots=True)
class Demand:
    """Load that the fleet must serve, and its objective.

    Attributes:
        rate: requests a second.
        prompt: tokens to read, on average.
        answer: tokens to write, on average.
    """

    rate: float
    prompt: float
    answer: float
    slo_ttft_ms: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet for a demand.

    Attributes:
        per_responder: answers a second of one replica, as it is sized.
        most_per_responder: answers a second of one replica with a full batch.
        running: answers in the batch of each replica at the rate.
    """

    demand: Demand
    hardware: Hardware
    responders: int
    detectors: int
    per_responder: float
    most_per_responder: float
    running: int
    bottleneck: str
    ttft_ms: float

    @property
    def nodes(self) -> int:
        """Machines for the responders."""
        return math.ceil(self.responders / self.hardware.replicas_per_node)

    @property
    def load_without_a_node(self) -> float:
        """Share of the most that the fleet can do, after one machine has died."""
        return self._rate_without_a_node / self.most_per_responder

    @property
    def keeps_without_a_node(self) -> bool:
        """Whether the objective holds after one machine has died."""
        rate, demand, hardware = self._rate_without_a_node, self.demand, self.hardware
        running = _running(demand, hardware, rate)
        return (
            running is not None
            and rate <= MOST_CPU * _cpu_rate(demand, hardware)
            and _ttft_ms(demand, hardware, running) <= demand.slo_ttft_ms
        )

    @property
    def _rate_without_a_node(self) -> float:
        """Requests a second of each replica, after one machine has died."""
        left = self.responders - min(self.hardware.replicas_per_node, self.responders)
        return self.demand.rate / left if left else math.inf


def plan(demand: Demand, hardware: Hardware) -> Plan:
    """Return the smallest fleet that keeps the objective.

    Raises:
        ConfigError: not even a single answer at a time would keep it.
    """
    engine = _engine_rate(demand, hardware, _largest_batch(demand, hardware))
    cpu = BUSY * _cpu_rate(demand, hardware)
    per_responder = min(engine, cpu)
    full = _full_batch(demand, hardware)
    detector_rate = hardware.detector_texts_per_s * DETECTOR_BUSY
    responders = max(math.ceil(demand.rate / per_responder), 1)
    running = _running(demand, hardware, demand.rate / responders) or full
    return Plan(
        demand=demand,
        hardware=hardware,
        responders=responders,
        detectors=max(math.ceil(demand.rate / detector_rate), 1),
        per_responder=per_responder,
        most_per_responder=min(_engine_rate(demand, hardware, full), _cpu_rate(demand, hardware)),
        running=running,
        bottleneck=ENGINE if engine <= cpu else CPU,
        ttft_ms=_ttft_ms(demand, hardware, running),
    )


def lines(found: Plan) -> Iterator[str]:
    """Yield the plan as text. Every line of a derived profile says that it is derived."""
    hardware, demand = found.hardware, found.demand
    mark = "" if hardware.source == "measured" else "[derived] "
    cost = found.nodes * hardware.node_cost_per_hour
    yield f"{mark}hardware: {hardware.name} ({hardware.source}: {hardware.basis})"
    yield (
        f"{mark}demand: {demand.rate:,.10g} requests/s, {demand.prompt:.0f} tokens read,"
        f" {demand.answer:.0f} written"
    )
    yield (
        f"{mark}responders: {found.responders:,}, up to {found.per_responder:.3g} answers/s each;"
        f" {found.running} at once at this rate; bottleneck: {found.bottleneck}"
    )
    yield f"{mark}machines: {found.nodes:,}, GPUs: {math.ceil(found.responders * hardware.gpus):,}"
    cpus = found.detectors * hardware.detector_cpus
    yield f"{mark}detectors: {found.detectors:,}, CPUs: {math.ceil(cpus):,}"
    yield f"{mark}TTFT: about {found.ttft_ms:.0f} ms of {demand.slo_ttft_ms:.0f} ms"
    yield f"{mark}cost: {f'{cost:,.2f} an hour for the responders' if cost else 'not known'}"
    yield f"{mark}without one machine: {_without_a_node(found)}"


def _without_a_node(found: Plan) -> str:
    load = found.load_without_a_node
    if math.isinf(load):
        return "nothing answers; keep a spare machine"
    of_most = f"{load:.0%} of what the others can do"
    if load > 1:
        return f"{of_most}, overloaded: keep a spare machine"
    if not found.keeps_without_a_node:
        objective = f"above the objective of {found.demand.slo_ttft_ms:.0f} ms"
        return f"{of_most}, {objective}: keep a spare machine"
    return f"{of_most}, holds"


def _full_batch(demand: Demand, hardware: Hardware) -> int:
    """Return the most answers at once, by slots and by the KV cache. Raises ConfigError."""
    tokens = demand.prompt + demand.answer
    if tokens > min(hardware.context_tokens, hardware.kv_tokens):
        raise ConfigError(
            f"{hardware.name} holds {min(hardware.context_tokens, hardware.kv_tokens):,} tokens of"
            f" one request, and --prompt and --answer are {tokens:,.0f}; choose fewer"
        )
    return max(min(hardware.slots, int(hardware.kv_tokens / tokens)), 1)


def _largest_batch(demand: Demand, hardware: Hardware) -> int:
    for running in range(max(int(_full_batch(demand, hardware) * BUSY), 1), 0, -1):
        if _ttft_ms(demand, hardware, running) <= demand.slo_ttft_ms:
            return running
    raise ConfigError(
        f"{hardware.name} cannot keep a TTFT of {demand.slo_ttft_ms:.0f} ms: one request alone"
        f" takes {_ttft_ms(demand, hardware, 1):.0f} ms; choose a larger --slo-ttft-ms"
    )


def _running(demand: Demand, hardware: Hardware, rate: float) -> int | None:
    """Return the fewest answers at once that one replica has at that rate, by Little's law.

    None if even a full batch is too slow for it.
    """
    counts = range(1, _full_batch(demand, hardware) + 1)
    return next((n for n in counts if _engine_rate(demand, hardware, n) >= rate), None)


def _ttft_ms(demand: Demand, hardware: Hardware, running: int) -> float:
    detection_ms = DETECTION_MARGIN * 1000 / hardware.detector_texts_per_s
    prefill_ms = demand.prompt * hardware.prefill_ms_per_token
    # A prompt waits for the running step, and for the prompts that came at the same time.
    return detection_ms + 2 * prefill_ms + 2 * _token_ms(demand, hardware, running)


def _token_ms(demand: Demand, hardware: Hardware, running: int) -> float:
    return hardware.token_ms(running, demand.prompt + demand.answer / 2)


def _engine_rate(demand: Demand, hardware: Hardware, running: int) -> float:
    decode_ms = demand.answer * _token_ms(demand, hardware, running)
    prefill_ms = running * demand.prompt * hardware.prefill_ms_per_token
    return running * 1000 / (decode_ms + prefill_ms)


def _cpu_rate(demand: Demand, hardware: Hardware) -> float:
    cpu_ms = hardware.cpu_ms(demand.answer)
    return 1000 / cpu_ms if cpu_ms else math.inf
