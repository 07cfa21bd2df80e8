"""Bounded tries: how many, how long between them, and when a service counts as down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imaging_gears.adapters.loopback import is_loopback
from imaging_gears.adapters.tries import OUTAGE_SECONDS, TransientError, Tries, retry_after
from imaging_gears.errors import PermissionDeniedError, ServiceError


class Service:
    """Answers what it was told to, in order; the last answer stays."""

    def __init__(self, *answers: Exception | str) -> None:
        self.answers = list(answers)
        self.waits: list[float] = []
        self.requests: Counter[str] = Counter()
        self.tries = Tries("Flywheel", self.requests, self.waits.append)

    def __call__(self) -> str:
        """Answer one request."""
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def call(self, *, repeatable: bool = True) -> str:
        """Make one logical call."""
        return self.tries.call("reading it", self, repeatable=repeatable)


DOWN = TransientError("HTTP 503")


def test_an_answer_is_returned_at_once() -> None:
    """One request, no wait."""
    service = Service("yes")
    assert service.call() == "yes"
    assert (service.requests, service.waits) == ({"Flywheel": 1}, [])


@pytest.mark.parametrize("failures", [1, 2])
def test_a_fault_that_passes_is_outlived(failures: int) -> None:
    """The second or the third request succeeds."""
    service = Service(*[DOWN] * failures, "yes")
    assert service.call() == "yes"
    assert service.requests["Flywheel"] == failures + 1


def test_an_outage_costs_three_requests() -> None:
    """With a wait before each repetition, jittered and growing; then one sentence."""
    service = Service(DOWN)
    with pytest.raises(ServiceError) as raised:
        service.call()
    assert str(raised.value) == "Flywheel did not answer usably while reading it: HTTP 503."
    assert service.requests["Flywheel"] == 3
    first, second = service.waits
    assert 0.25 <= first <= 0.5
    assert 1.0 <= second <= 2.0


class SlowService:
    """Answers 503 after some seconds, and asks for half a minute; time passes in it alone."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now, self.answers = seconds, 0.0, True
        self.tries = Tries("Flywheel", Counter(), self.sleep, lambda: self.now)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def call(self) -> None:
        """Make one logical call."""

        def attempt() -> None:
            self.now += self.seconds
            if self.answers:
                problem = "HTTP 503"
                raise TransientError(problem, 30.0)

        self.tries.call("reading it", attempt)


@pytest.mark.parametrize("seconds", [0.0, 1.0, 9.9, 14.0, 19.9])
def test_a_slow_outage_costs_a_run_a_minute_or_so(seconds: float) -> None:
    """However many calls there are: no try begins after the time that an outage may take."""
    service = SlowService(seconds)
    for _ in range(20):
        with pytest.raises(ServiceError):
            service.call()
    assert service.now <= OUTAGE_SECONDS + seconds


def test_what_an_outage_cost_is_forgotten_when_it_is_over() -> None:
    """A service that answers again has all its tries again."""
    service = SlowService(5.0)
    with pytest.raises(ServiceError):
        service.call()
    service.answers = False
    service.call()
    service.answers = True
    with pytest.raises(ServiceError):
        service.call()
    assert service.tries.requests["Flywheel"] == 3 + 1 + 3


def test_what_is_not_safe_to_repeat_is_not_repeated() -> None:
    """One request, whatever became of it."""
    service = Service(DOWN, "yes")
    with pytest.raises(ServiceError):
        service.call(repeatable=False)
    assert (service.requests["Flywheel"], service.waits) == (1, [])


def test_a_refused_key_is_never_tried_again() -> None:
    """Any other error than a transient one goes through at the first request."""
    service = Service(PermissionDeniedError("no"))
    with pytest.raises(PermissionDeniedError):
        service.call()
    assert service.requests["Flywheel"] == 1
    assert service.tries.failures == 0


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_service_that_is_down_is_asked_less_and_less(*, repeatable: bool) -> None:
    """After a call that failed: two more calls of one request each, then none at all."""
    service = Service(DOWN)
    first = 3 if repeatable else 1
    counts = []
    for _ in range(5):
        with pytest.raises(ServiceError) as raised:
            service.call(repeatable=repeatable)
        counts.append(service.requests["Flywheel"])
    assert counts == [first, first + 1, first + 2, first + 2, first + 2]
    assert raised.value.problem == "it has failed before in this run"


def test_a_service_that_came_back_is_trusted_again() -> None:
    """One success, and the next call has all its tries."""
    service = Service(DOWN, DOWN, DOWN, "yes", DOWN, "again")
    with pytest.raises(ServiceError):
        service.call()
    assert service.call() == "yes"
    assert service.call() == "again"


@pytest.mark.parametrize(("asked", "waited"), [(4.0, 4.0), (30.0, 10.0), (0.0, 0.0)])
def test_a_service_may_ask_for_up_to_ten_seconds(asked: float, waited: float) -> None:
    """``Retry-After`` is honoured, within bounds."""
    service = Service(TransientError("HTTP 429", asked), "yes")
    assert service.call() == "yes"
    assert service.waits == [waited]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    """What is no number of seconds is ignored."""
    assert retry_after(value) == seconds


@given(st.text())
@example("1e400")
def test_retry_after_never_breaks(value: str) -> None:
    """Whatever a proxy writes there."""
    seconds = retry_after(value)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - a value under test
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("example.org", False),
        ("", False),
        (None, False),
    ],
)
def test_only_this_machine_is_loopback(host: str | None, *, local: bool) -> None:
    """A name that only looks like it is not: a key would go there unencrypted."""
    assert is_loopback(host) is local


def test_tries_wait_by_themselves() -> None:
    """Without another clock the waiting is real: nothing to wait for, nothing waited."""
    requests: Counter[str] = Counter()
    answer: Callable[[], int] = lambda: 1  # noqa: E731 - the shortest attempt there is
    assert Tries("x", requests).call("y", answer) == 1
