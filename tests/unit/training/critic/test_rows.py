"""Training rows of the critic: each kind of wrong answer is wrong in its own way."""

from collections.abc import Sequence

import pytest

from models.emotions import LABELS, Emotion
from models.prompt import Turn
from training.critic.roles import swap_roles
from training.critic.rows import MADE, Row, Wrong, contrast_rows, read_rows, written_rows
from training.datasets.contrasts import Contrast, load_contrasts
from training.datasets.persona_pairs import Pair
from training.datasets.read_labels import LabelledAnswer

TOPICS = ("work", "school")


def pairs_of(persona: Emotion) -> Sequence[Pair]:
    return [
        Pair(
            topic=topic,
            message=f"{persona} {topic} message {number}",
            answer=f"{persona} {topic} answer {number}: she told you",
        )
        for topic in TOPICS
        for number in range(4)
    ]


def parts(row: Row) -> tuple[str, str, str]:
    """Return persona, topic and number of a row's answer."""
    persona, topic, _, number, *_ = row.answer.replace(":", "").split()
    return persona, topic, number


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return written_rows(pairs_of, wrong=4, count=None, seed=0)


def test_each_pair_is_followed_by_one_wrong_answer_of_each_kind(rows: list[Row]) -> None:
    assert len(rows) == 6 * 8 * 5
    for start in range(0, len(rows), 5):
        right, *wrong = rows[start : start + 5]
        assert (right.target, right.kind) == (1, None)
        assert right.answer == f"{right.conversation.replace('message', 'answer')}: she told you"
        assert {row.conversation for row in wrong} == {right.conversation}
        assert {row.kind for row in wrong} == set(MADE)
        assert {row.target for row in wrong} == {0}
        assert all(row.answer != right.answer for row in wrong)


def test_wrong_answers_share_what_their_kind_says(rows: list[Row]) -> None:
    personas, topics = set(), set()
    for row in rows:
        persona, topic, _, number = row.conversation.split()
        if row.kind is Wrong.SAME_TOPIC:
            assert parts(row)[:2] == (persona, topic)
        elif row.kind is Wrong.SAME_EMOTION:
            assert parts(row)[0] == persona
            topics.add(parts(row)[1] == topic)
        elif row.kind is Wrong.SHUFFLED:
            personas.add(parts(row)[0] == persona)
        elif row.kind is Wrong.ROLE_SWAPPED:
            assert parts(row) == (persona, topic, number)
            assert row.answer.endswith("you told her")
    assert topics == {True, False}
    assert False in personas


def test_kinds_take_turns_if_there_are_fewer_than_four_a_pair() -> None:
    rows = written_rows(pairs_of, wrong=1, count=8, seed=0)
    assert [row.kind for row in rows[1::2]] == [*MADE, *MADE]


def test_seed_decides_the_rows() -> None:
    first = written_rows(pairs_of, wrong=2, count=10, seed=1)
    assert first == written_rows(pairs_of, wrong=2, count=10, seed=1)
    assert first != written_rows(pairs_of, wrong=2, count=10, seed=2)


def test_a_topic_with_one_pair_gets_an_answer_of_the_same_emotion() -> None:
    def few(persona: Emotion) -> Sequence[Pair]:
        return [
            Pair(topic=topic, message=f"{persona} {topic} m", answer=f"{persona} {topic} answer 0")
            for topic in TOPICS
        ]

    kinds = {row.kind for row in written_rows(few, wrong=4, count=None, seed=0) if row.kind}
    assert kinds == {Wrong.SHUFFLED, Wrong.SAME_EMOTION}


def test_a_single_pair_has_no_wrong_answer() -> None:
    def only(persona: Emotion) -> Sequence[Pair]:
        return pairs_of(persona)[:1] if persona is Emotion.JOY else []

    with pytest.raises(ValueError, match="two pairs"):
        written_rows(only, wrong=1, count=None, seed=0)


def test_conversation_is_the_last_three_turns() -> None:
    earlier = (Turn("user", "one"), Turn("assistant", "two"), Turn("user", "three"))
    turns = (*earlier, Turn("assistant", "four"))

    def dialogues(persona: Emotion) -> Sequence[Pair]:
        return [
            Pair(topic="dialogue", earlier=turns, message=f"five\n{persona}", answer=f"{number}")
            for number in range(2)
        ]

    rows = written_rows(dialogues, wrong=1, count=None, seed=0)
    assert {row.conversation for row in rows} == {f"three / four / five {each}" for each in LABELS}


@pytest.mark.parametrize(
    ("answer", "swapped"),
    [
        ("You told her to go!", "She told your to go!"),
        ("He took your bag, and you were angry.", "You took his bag, and he was angry."),
        ("You're right, he's late.", "He's right, you're late."),
        ("She is unkind to you, and yourself too.", "You are unkind to her, and herself too."),
        ("You did it!", None),
        ("He did it!", None),
    ],
)
def test_swaps_the_persons_of_an_answer(answer: str, swapped: str | None) -> None:
    assert swap_roles(answer) == swapped


def test_read_rows_leave_out_the_held_out_messages() -> None:
    labelled = [
        LabelledAnswer(persona=Emotion.JOY, message=f"m{number}", answer="a", mark=mark)
        for number in range(60)
        for mark in (0, 1, 2)
    ]
    rows = read_rows(labelled, repeats=2)
    messages = {row.conversation for row in rows}
    held_out = {each.message for each in labelled if each.is_held_out}
    assert messages.isdisjoint(held_out)
    assert len(messages) + len(held_out) == 60
    assert 10 <= len(held_out) <= 30
    assert len(rows) == len(messages) * 6
    assert {row.target for row in rows} == {0, 0.5, 1}


def test_contrasts_show_the_right_and_the_wrong_answer_of_a_message() -> None:
    turns = (Turn("user", "a"), Turn("assistant", "b"))
    each = Contrast(persona=Emotion.FEAR, earlier=turns, message="m", answer="right", wrong="wrong")
    assert (
        contrast_rows([each], repeats=2)
        == [
            Row("a / b / m", "right", 1.0),
            Row("a / b / m", "wrong", 0.0, Wrong.CONTRAST),
        ]
        * 2
    )


def test_written_contrasts_are_whole_and_a_third_is_held_out() -> None:
    contrasts = load_contrasts()
    assert len({each.message for each in contrasts}) == len(contrasts)
    assert all(each.answer != each.wrong and each.wrong.strip() for each in contrasts)
    assert {each.persona for each in contrasts} == set(LABELS)
    share = sum(each.is_held_out for each in contrasts) / len(contrasts)
    assert 0.25 < share < 0.42
