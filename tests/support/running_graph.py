"""What a test of the running graph holds."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Graph:
    """Where it is, and how many answers its responder generates at the moment."""

    url: str
    running: Callable[[], int]
