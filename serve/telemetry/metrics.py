"""Metrics that Ray exports on every node in Prometheus' format, as `ray_fye_...`."""

from ray.serve import metrics

BUCKETS_MS: list[float] = [
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000),
]


def histogram(
    name: str, description: str, buckets: list[float], tags: tuple[str, ...] = ()
) -> metrics.Histogram:
    """Return a histogram with the given upper bounds of its buckets."""
    return metrics.Histogram(name, description, buckets, tags)  # type: ignore[arg-type]


def counter(name: str, description: str, tags: tuple[str, ...] = ()) -> metrics.Counter:
    """Return a counter. Ray annotates `tag_keys` as one string and documents a tuple."""
    return metrics.Counter(name, description, tags)  # type: ignore[arg-type]


def gauge(name: str, description: str, tags: tuple[str, ...] = ()) -> metrics.Gauge:
    """Return a gauge."""
    return metrics.Gauge(name, description, tags)  # type: ignore[arg-type]
