"""Start of Ray on a busy machine."""

import pytest
import ray

from serve.cluster.ray_compat import START_TRIES, TOO_SLOW, start_local_ray
from serve.errors import ServingError


class Ray:
    """Stands for `ray.init`: fails with one error after the other, then starts."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.starts: list[object] = []

    def init(self, address: str, num_cpus: int, **_: object) -> None:
        self.starts.append((address, num_cpus))
        if self.errors:
            raise self.errors.pop(0)


def patch(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> Ray:
    fake = Ray(*errors)
    monkeypatch.setattr(ray, "init", fake.init)
    return fake


def slow() -> Exception:
    return Exception(f"The current node {TOO_SLOW}. This could happen")


def test_slow_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = patch(monkeypatch, slow())
    start_local_ray(3)
    assert fake.starts == [("local", 3)] * 2


def test_start_that_stays_slow_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = patch(monkeypatch, *(slow() for _ in range(START_TRIES)))
    with pytest.raises(ServingError, match=r"Ray did not start: .*timed out"):
        start_local_ray(3)
    assert len(fake.starts) == START_TRIES


def test_other_errors_are_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = patch(monkeypatch, ValueError("no memory"))
    with pytest.raises(ServingError, match="no memory"):
        start_local_ray(3)
    assert len(fake.starts) == 1
