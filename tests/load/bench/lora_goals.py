"""Ratios between the servers with and without adapters, and their goals."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from load.bench.goals import Goal, from_rounds
from load.bench.lora_servers import Arm
from load.bench.memory_bandwidth import int8_head_bytes, weights_bytes


class Ratio(NamedTuple):
    """Ratio of two measurements in the same repeat."""

    arm: str
    measurement: str
    peer: str
    peer_measurement: str
    goal: float | None = None


RATIOS = {
    "six adapters, 32 requests, decode": Ratio("ours", "decode", "base", "decode", 0.95),
    "six adapters, 32 requests, prefill": Ratio("ours", "prefill", "base", "prefill", 0.95),
    "one adapter, one request, decode": Ratio("ours", "single", "base", "single", 0.95),
    "no adapter, 32 requests, decode": Ratio("ours", "without adapter", "base", "decode", 0.95),
    "six adapters, 32 requests, decode / untouched vLLM": Ratio(
        "ours",
        "decode",
        "untouched",
        "decode",  # no goal: without adapters it is 3.6
    ),
    "six adapters, 32 sampled requests, decode / untouched vLLM": Ratio(
        "ours", "sampled", "untouched", "sampled", 5.0
    ),
    "six adapters, 32 sampled requests, decode / greedy": Ratio(
        "ours", "sampled", "ours", "decode"
    ),
    "stock vLLM: six adapters, 32 requests, decode": Ratio("stock", "decode", "base", "decode"),
    "stock vLLM: six adapters, 32 requests, prefill": Ratio("stock", "prefill", "base", "prefill"),
    "stock vLLM: one adapter, one request, decode": Ratio("stock", "single", "base", "single"),
}


def compare_arms(arms: dict[str, Arm], bandwidths: Sequence[float], weights: Path) -> list[Goal]:
    """Compute the ratios of samples from the same repeat.

    Args:
        arms: Measured arms by name.
        bandwidths: Memory bandwidth in bytes per second in each repeat.
        weights: Folder of the base weights.
    """
    found = list(_bandwidth_goals(arms, bandwidths, weights))
    for name, ratio in RATIOS.items():
        if {ratio.arm, ratio.peer} <= arms.keys():
            ours = arms[ratio.arm].samples[ratio.measurement]
            peer = arms[ratio.peer].samples[ratio.peer_measurement]
            values = [one / other for one, other in zip(ours, peer, strict=True)]
            found.append(from_rounds(name, values, "x", ratio.goal))
    for arm in arms.values():
        for measurement, values in arm.samples.items():
            found.append(from_rounds(f"{arm.name}: {measurement}", values, "tok/s"))
    return found


def _bandwidth_goals(
    arms: dict[str, Arm], bandwidths: Sequence[float], weights: Path
) -> Iterator[Goal]:
    """Compare one request with the bound that memory bandwidth sets."""
    size = weights_bytes(weights)
    bounds = [bandwidth / size for bandwidth in bandwidths]
    yield from_rounds("one request, bound of memory bandwidth", bounds, "tok/s")
    if "ours" in arms:
        shares = [
            one / bound for one, bound in zip(arms["ours"].samples["single"], bounds, strict=True)
        ]
        name = "one adapter, one request, decode / bound of memory bandwidth"
        yield from_rounds(name, shares, "x", 0.7)
        smaller = int8_head_bytes(weights) / size
        int8_shares = [smaller * share for share in shares]
        yield from_rounds(f"{name} with an int8 LM head", int8_shares, "x")
