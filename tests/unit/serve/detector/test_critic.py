"""Critic of a detector replica: its thread, its scripted stand-in, and how weights are loaded."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import models.critic
from models.errors import ManifestError
from models.prompt import Turn
from serve.config import DetectorConfig
from serve.detector import replica
from serve.detector.critic import ModelCritic, load_critic
from serve.detector.replica import Detector
from serve.detector.scripted import NAMED, ScriptedCritic
from serve.errors import NotReady

SCRIPTED = DetectorConfig(kind="scripted")
TURNS = (Turn("user", "Hm."), Turn("assistant", "Oh."), Turn("user", "I like #2"))


class ThreadCritic:
    """Critic that records its thread and scores by length."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def score(self, turns: Sequence[Turn], answers: Sequence[str]) -> list[float]:
        self.threads.add(threading.get_ident())
        return [float(len(answer)) for answer in answers]


async def test_scores_in_the_thread_of_the_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    critic = ThreadCritic()
    monkeypatch.setattr(replica, "load_critic", lambda _folder, _config: critic)
    tested = Detector(SCRIPTED, critic=Path("critic"))
    assert await tested.score(TURNS, ["long one", "short"], {}) == [8.0, 5.0]
    assert critic.threads == {thread.ident for thread in tested._thread._threads}
    assert (await tested.record_autoscaling_stats())["busy"] > 0


async def test_a_detector_without_a_critic_says_so() -> None:
    with pytest.raises(NotReady, match="no critic"):
        await Detector(SCRIPTED).score(TURNS, ["answer"], {})


def test_scripted_critic_likes_the_answer_that_is_named_most() -> None:
    scores = ScriptedCritic().score(TURNS, ["#1 Oh.", "#2 Oh.", "Oh."])
    assert scores[1] == NAMED
    assert all(-2 <= score < 2 for score in (scores[0], scores[2]))
    assert scores == ScriptedCritic().score(TURNS, ["#1 Oh.", "#2 Oh.", "Oh."])
    assert scores[0] != scores[2]


def test_scripted_detector_has_a_scripted_critic() -> None:
    assert isinstance(load_critic(Path("anything"), SCRIPTED), ScriptedCritic)


def test_a_folder_without_a_critic_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no artifact at"):
        load_critic(tmp_path / "none", DetectorConfig())


def test_model_critic_reads_the_last_turns_with_each_answer(
    monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    pairs: list[tuple[str, str]] = []

    class FakeCritic:
        def __init__(self, folder: Path) -> None:
            assert folder == Path("critic")

        def logits(self, given: Sequence[tuple[str, str]]) -> list[float]:
            pairs.extend(given)
            return [0.5] * len(given)

    monkeypatch.setattr(models.critic, "Critic", FakeCritic)
    turns = (Turn("user", "dropped"), *TURNS)
    assert ModelCritic(Path("critic"), threads=1).score(turns, ["a", "b"]) == [0.5, 0.5]
    assert pairs == [("Hm. / Oh. / I like #2", "a"), ("Hm. / Oh. / I like #2", "b")]
