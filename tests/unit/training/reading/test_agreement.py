"""Agreement of readers: values of the papers, and the extremes."""

import pytest

from training.reading.agreement import cohen_kappa, fleiss_kappa


def test_cohen_kappa_of_known_counts() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 0.7, expected 0.5.
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_fleiss_kappa_of_the_known_example() -> None:
    # Ten subjects, 14 readers, five categories: kappa 0.210.
    counts = [
        (0, 0, 0, 0, 14),
        (0, 2, 6, 4, 2),
        (0, 0, 3, 5, 6),
        (0, 3, 9, 2, 0),
        (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0),
        (3, 2, 6, 3, 0),
        (2, 5, 3, 2, 2),
        (6, 5, 2, 1, 0),
        (0, 2, 2, 3, 7),
    ]
    rows = [[mark for mark, count in enumerate(row) for _ in range(count)] for row in counts]
    assert fleiss_kappa(rows) == pytest.approx(0.210, abs=5e-4)


def test_full_agreement_is_one() -> None:
    assert cohen_kappa([0, 1, 2], [0, 1, 2]) == 1
    assert cohen_kappa([1, 1], [1, 1]) == 1
    assert fleiss_kappa([[0, 0, 0], [2, 2, 2]]) == 1


def test_agreement_by_chance_is_zero() -> None:
    assert cohen_kappa([0, 0, 1, 1], [0, 1, 0, 1]) == 0


@pytest.mark.parametrize("rows", [[], [[1], [2]], [[1, 1], [1, 1, 1]]])
def test_rejects_rows_without_the_same_readers(rows: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="readers"):
        fleiss_kappa(rows)


def test_rejects_no_rows() -> None:
    with pytest.raises(ValueError, match="no rows"):
        cohen_kappa([], [])
