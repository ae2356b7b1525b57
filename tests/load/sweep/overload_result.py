"""Result of the overload test, and the promises that it checks."""

from pydantic import BaseModel, Field

MIN_GOODPUT_SHARE = 0.9  # of the peak, at the highest rate
MAX_LATENESS_S = 1.0  # a client with more lateness did not offer its nominal rate
FAILED = ("failed_explicitly", "lost", "wrong", "hung")


class Step(BaseModel):
    """Result of one offered rate. Rates are requests per second."""

    offered: float
    goodput: float
    p50_accepted_s: float
    p99_accepted_s: float
    rejected: int
    rejected_without_retry_after: int
    ends: dict[str, int]
    client_lateness_s: float

    def describe(self) -> str:
        """Format the step as one line."""
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.items() if count)
        return (
            f"offered {self.offered:7.2f}/s  goodput {self.goodput:7.2f}/s"
            f"  p50 {self.p50_accepted_s:6.2f} s  p99 {self.p99_accepted_s:6.2f} s"
            f"  {ends}  (client lateness up to {self.client_lateness_s * 1000:.0f} ms)"
        )


class OverloadResult(BaseModel):
    """Result of the test; values of the last step are repeated at the top."""

    engine: str
    capacity: float = Field(description="requests per second with a full batch and no queue")
    offered: float
    goodput: float
    peak_goodput: float
    p99_accepted_s: float
    p99_bound_s: float
    rejected: int
    rejected_without_retry_after: int
    left_running: int = Field(description="replies still generated after the last one has ended")
    steps: list[Step]

    def summary(self) -> str:
        """Format the result as one line."""
        return (
            f"capacity {self.capacity:.2f}/s, offered {self.offered:.2f}/s:"
            f" goodput {self.goodput:.2f}/s, peak {self.peak_goodput:.2f}/s,"
            f" p99 {self.p99_accepted_s:.2f} s (bound {self.p99_bound_s:.2f} s),"
            f" {self.rejected} rejected,"
            f" {self.rejected_without_retry_after} of them without Retry-After,"
            f" {self.left_running} left running"
        )

    def failures(self) -> list[str]:
        """Describe every promise that was broken."""
        failed = sum(step.ends[end] for step in self.steps for end in FAILED)
        lateness_s = max(step.client_lateness_s for step in self.steps)
        minimum = MIN_GOODPUT_SHARE * self.peak_goodput
        checks = (
            (
                self.goodput < minimum,
                f"goodput is {self.goodput:.2f}/s, expected at least {minimum:.2f}/s"
                f" ({MIN_GOODPUT_SHARE:.0%} of its peak)",
            ),
            (
                self.p99_accepted_s > self.p99_bound_s,
                f"p99 is {self.p99_accepted_s:.2f} s, expected at most {self.p99_bound_s:.2f} s",
            ),
            (
                self.rejected_without_retry_after > 0,
                f"{self.rejected_without_retry_after} rejections had no Retry-After",
            ),
            (self.left_running > 0, f"{self.left_running} replies are still generated"),
            (lateness_s > MAX_LATENESS_S, f"the client itself was {lateness_s:.1f} s late"),
            (failed > 0, f"{failed} requests failed, were lost, wrong or hung"),
            (not self.rejected, "no request was rejected, so there was no overload"),
        )
        return [message for is_broken, message in checks if is_broken]
