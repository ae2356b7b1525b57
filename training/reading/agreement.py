"""Agreement of readers beyond chance: the kappas of Cohen and of Fleiss."""

from collections import Counter
from collections.abc import Sequence


def cohen_kappa(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the kappa of two readers who marked the same rows, in the same order.

    See Cohen 1960, https://doi.org/10.1177/001316446002000104. It is 1 if both give one and the
    same mark to every row. Raises ValueError if there are no rows.
    """
    if not first:
        raise ValueError("agreement needs at least one row, and there are no rows")
    pairs = list(zip(first, second, strict=True))
    observed = sum(one == other for one, other in pairs) / len(pairs)
    shares = [Counter(marks) for marks in (first, second)]
    expected = sum(shares[0][mark] * shares[1][mark] for mark in shares[0]) / len(pairs) ** 2
    return _beyond(observed, expected)


def fleiss_kappa(rows: Sequence[Sequence[int]]) -> float:
    """Return the kappa of marks `(rows, readers)`, with the same number of readers for each row.

    See Fleiss 1971, https://doi.org/10.1037/h0031619. Raises ValueError if there are no rows, or
    fewer than two readers, or not as many in each row.
    """
    readers = {len(row) for row in rows}
    if len(readers) != 1 or min(readers) < 2:
        raise ValueError(
            "agreement needs rows that were all marked by the same two or more readers"
        )
    (count,) = readers
    counted = [Counter(row) for row in rows]
    agreeing = sum(number * (number - 1) for marks in counted for number in marks.values())
    observed = agreeing / (len(rows) * count * (count - 1))
    totals = sum(counted, Counter())
    expected = sum((number / (len(rows) * count)) ** 2 for number in totals.values())
    return _beyond(observed, expected)


def _beyond(observed: float, expected: float) -> float:
    return 1.0 if expected == 1 else (observed - expected) / (1 - expected)
