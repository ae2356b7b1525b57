"""Quota of an API key: concurrent requests, requests and tokens a minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.errors import RateLimited
from serve.pipeline.quota import Bucket, KeyLimits, Quota
from support.fakes import FakeClock


def use(quota: Quota, limits: KeyLimits | None, tokens: int = 10, times: int = 1) -> None:
    """Make requests one after the other."""
    for _ in range(times):
        with quota.enter(limits, tokens):
            pass


def test_concurrent_requests_are_limited_for_each_key() -> None:
    quota = Quota()
    two = KeyLimits("two", concurrent=2)
    one = KeyLimits("one", concurrent=1)
    with quota.enter(two, 1), quota.enter(two, 1), quota.enter(one, 1):
        with pytest.raises(RateLimited) as rejected:
            use(quota, two)
        assert rejected.value.retry_after_s == 1
    use(quota, two, times=5)


def test_requests_become_available_again_one_by_one() -> None:
    clock = FakeClock()
    quota = Quota(clock)
    limits = KeyLimits("app", requests_per_minute=30)
    use(quota, limits, times=30)
    with pytest.raises(RateLimited) as rejected:
        use(quota, limits)
    assert rejected.value.retry_after_s == 2
    clock.now_s += 2
    use(quota, limits)
    with pytest.raises(RateLimited):
        use(quota, limits)


def test_tokens_are_counted_as_requested() -> None:
    quota = Quota(FakeClock())
    limits = KeyLimits("app", requests_per_minute=9, tokens_per_minute=100)
    use(quota, limits, tokens=90)
    with pytest.raises(RateLimited) as rejected:
        use(quota, limits, tokens=20)
    assert rejected.value.retry_after_s == 6
    use(quota, limits, tokens=10)


def test_answer_larger_than_a_minute_is_never_allowed() -> None:
    quota = Quota(FakeClock())
    with pytest.raises(RateLimited, match="never") as rejected:
        use(quota, KeyLimits("app", tokens_per_minute=100), tokens=101)
    assert rejected.value.retry_after_s == 60


def test_rejection_uses_up_nothing() -> None:
    quota = Quota(FakeClock())
    limits = KeyLimits("app", concurrent=1, requests_per_minute=2, tokens_per_minute=100)
    for _ in range(5):
        with pytest.raises(RateLimited):
            use(quota, limits, tokens=101)
    use(quota, limits, times=2)


def test_failed_request_uses_up_its_quota_but_no_concurrency() -> None:
    quota = Quota(FakeClock())
    limits = KeyLimits("app", concurrent=1, requests_per_minute=2)
    with pytest.raises(ZeroDivisionError), quota.enter(limits, 1):
        raise ZeroDivisionError
    use(quota, limits)
    with pytest.raises(RateLimited):
        use(quota, limits)


def test_changed_limits_start_again() -> None:
    quota = Quota(FakeClock())
    use(quota, KeyLimits("app", requests_per_minute=1))
    use(quota, KeyLimits("app", requests_per_minute=2), times=2)


def test_request_without_a_key_has_no_limit() -> None:
    use(Quota(), None, tokens=10**6, times=100)


@given(st.lists(st.tuples(st.floats(0, 90), st.integers(0, 40)), max_size=30))
def test_bucket_never_gives_more_than_its_rate(steps: list[tuple[float, int]]) -> None:
    clock = FakeClock(0)
    bucket = Bucket(30, clock)
    taken = 0
    for pause_s, amount in steps:
        clock.now_s += pause_s
        wait_s = bucket.wait_s(amount)
        assert (wait_s == float("inf")) is (amount > 30)
        if wait_s == 0:
            bucket.take(amount)
            taken += amount
    assert taken <= 30 + clock.now_s / 2 + 1e-6
