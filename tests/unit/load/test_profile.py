"""Arithmetic of the profile: causes of stacks, shares of threads, fits, and lateness of streams."""

from collections import Counter

import pytest

from load.bench.answer_cpu import CLIENT, Length, by_process, divided
from load.bench.profile import Cost, cause_table, process_table, profile_of
from load.bench.sse_client import count_words
from load.bench.stack_samples import Charge, charge_of, parse_samples, shares
from load.bench.streams import Report, Stream, evaluate

SITE = "/venv/lib/python3.11/site-packages"
STDLIB = "/usr/lib/python3.11"


@pytest.mark.parametrize(
    ("frames", "cause"),
    [
        (
            [f"dispatch ({SITE}/starlette/routing.py)", f"encode ({STDLIB}/json/encoder.py)"],
            "ASGI, uvicorn",
        ),
        (
            [
                f"call ({SITE}/ray/serve/_private/replica.py)",
                "respond (/srv/fye/serve/api/routes.py)",
            ],
            "our code",
        ),
        ([f"respond ({SITE}/ray/serve/api.py)"], "Ray Serve"),
        ([f"info ({STDLIB}/logging/__init__.py)"], "logging"),
        (["observe (/srv/fye/serve/telemetry/metrics.py)"], "metrics"),
        (["span (/srv/fye/serve/telemetry/tracing.py)"], "tracing"),
        ([f"set ({SITE}/ray/util/metrics.py)", f"record ({SITE}/ray/_raylet.so)"], "metrics"),
        ([f"call ({SITE}/ray/serve/api.py)", f"submit ({SITE}/ray/_raylet.so)"], "Ray core"),
        ([f"read ({SITE}/grpc/aio/_call.py)", "memcpy (/usr/lib/libc.so.6)"], "gRPC"),
        (
            [f"run ({STDLIB}/threading.py)", "run_forever (/project/uvloop/loop.c)"],
            "asyncio and event loop",
        ),
        (["validate (/venv/lib/python3.11/site-packages/pydantic/main.py)"], "FastAPI, pydantic"),
        (
            ["generate (/srv/fye/serve/engine/scripted.py)", f"sleep ({STDLIB}/asyncio/tasks.py)"],
            "asyncio and event loop",
        ),
        (["generate (/srv/fye/serve/engine/scripted.py)"], "engine"),
        ([f"run ({STDLIB}/threading.py)"], "other"),
    ],
)
def test_charges_the_innermost_frame_with_a_cause(frames: list[str], cause: str) -> None:
    assert charge_of(frames).cause == cause


def test_names_a_frame_without_a_symbol_by_its_library() -> None:
    frame = f"0x7fdb4eb92d28 ({SITE}/grpc/_cython/cygrpc.so)"
    assert charge_of([frame]) == Charge("gRPC", "grpc/_cython/cygrpc.so")


def test_counts_samples_by_thread() -> None:
    raw = (
        f"thread (12): MainThread;read ({SITE}/grpc/aio/_call.py) 3\n"
        f"thread (12): MainThread;info ({STDLIB}/logging/__init__.py) 1\n"
        f"thread (13): poller;call ({SITE}/ray/serve/api.py) 2\n"
        "thread (14): empty 5\n"
    )
    samples = parse_samples(raw)
    counts = {tid: [(c.cause, n) for c, n in found.items()] for tid, found in samples.items()}
    assert counts == {12: [("gRPC", 3), ("logging", 1)], 13: [("Ray Serve", 2)]}


def test_weights_samples_by_the_cpu_time_of_their_thread() -> None:
    grpc, ours = Charge("gRPC", "read"), Charge("our code", "respond")
    before = {1: ("python", 1.0), 2: ("python", 5.0), 3: ("event_engine", 1.0)}
    after = {1: ("python", 4.0), 2: ("python", 5.0), 3: ("event_engine", 2.0)}
    samples = {1: Counter({grpc: 1, ours: 2}), 2: Counter({grpc: 100})}
    found = shares(before, after, samples)
    native = Charge("gRPC", "thread event_engine")
    assert found == pytest.approx({grpc: 0.25, ours: 0.5, native: 0.25})


def test_idle_process_has_no_shares() -> None:
    assert shares({1: ("python", 1.0)}, {1: ("python", 1.0)}, {}) == {}


def test_divides_each_process_by_its_own_shares() -> None:
    cpu_ms = {("proxy", 1): 4.0, ("proxy", 2): 2.0, ("Ray", 3): 1.0, ("other", 4): 9.0}
    charges = {1: {Charge("gRPC", "read"): 0.75, Charge("our code", "send"): 0.25}}
    assert by_process(cpu_ms) == {"proxy": 6.0, "Ray": 1.0}
    assert divided(cpu_ms, charges, by_function=False) == {
        "proxy": {"gRPC": 3.0, "not sampled": 2.0, "our code": 1.0},
        "Ray": {"not sampled": 1.0},
    }


def test_separates_a_fixed_part_from_a_part_per_chunk() -> None:
    cost = Cost.fit([11, 35, 67], [2 + 0.5 * events for events in (11, 35, 67)], reference=1)
    assert cost.fixed_ms == pytest.approx(2)
    assert cost.per_event_ms == pytest.approx(0.5)
    assert cost.reference_ms == pytest.approx(19.5)


def test_total_leaves_out_engine_detector_and_client() -> None:
    lengths = [_length(tokens) for tokens in (8, 32, 64)]
    profile = profile_of(lengths, "scripted", detector=True, users=32)
    assert profile.total.reference_ms == pytest.approx(1 + 0.1 * 32)
    assert profile.causes["gRPC"].per_event_ms == pytest.approx(0.1)
    assert process_table(profile).row_count == 5
    assert cause_table(profile).row_count == 1


def _length(tokens: int) -> Length:
    return Length(
        tokens=tokens,
        events=tokens,
        answers_per_s=10,
        cpu_ms={"proxy": 1 + 0.1 * tokens, "detector": 7.0, "engine": 8.0, CLIENT: 9.0},
        causes_ms={"proxy": {"gRPC": 1 + 0.1 * tokens}, "detector": {"gRPC": 7.0}},
        functions_ms={},
        memory_mib={"proxy": 100, "other": 500},
    )


def test_lateness_is_measured_from_the_earliest_possible_beginning() -> None:
    on_time = Stream(sent_s=0.0, arrivals=[(1.1, 1), (1.2, 2), (1.3, 3), (1.4, 4)])
    joined = Stream(sent_s=0.5, arrivals=[(1.15, 1), (1.45, 3), (1.45, 4)])
    lags = [(0.5, 0.9), (1.2, 0.02), (9.0, 0.9)]
    report = Report(client_lags=lags, client_cpu_s=0, streams=[on_time, joined])
    found = evaluate(report, token_s=0.1)
    assert found["streams"] == 2
    assert found["chunks"] == 3 + 1, "only while both streams are open"
    assert found["max_ms"] == pytest.approx(0, abs=1e-6)
    assert found["client_lag_ms"] == pytest.approx(20)
    assert joined.ttft_s() == pytest.approx(0.65)
    assert [late_s for _, late_s in joined.late_s(0.1)] == pytest.approx([0, 0.1, 0])


def test_rejects_streams_that_were_never_open_at_once() -> None:
    early = Stream(sent_s=0, arrivals=[(1.0, 1), (1.1, 2)])
    late = Stream(sent_s=0, arrivals=[(2.0, 1), (2.1, 2)])
    with pytest.raises(RuntimeError, match="shorter ramp"):
        evaluate(Report(client_lags=[], client_cpu_s=0, streams=[early, late]), token_s=0.1)


def test_counts_the_words_of_an_answer_in_its_events() -> None:
    first = b'data: {"choices": [{"delta": {"content": "[joy@1] I hear"}}]}'
    second = b'data: {"choices": [{"delta": {"content":" \\"you\\","}}]}'
    assert count_words(first + b"\n\n" + second) == 4
