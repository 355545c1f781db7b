"""The stream of execution reports goes on behind the last one, whatever becomes of a connection."""

import json

import pytest

from client import Problem
from client.calls import Reply
from client.streaming import ReportStream
from tests.unit.client.test_following_orders import body

RETRY = b"retry: 1000\nid: 4\n\n"


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def stream(after: int | None = None, clock: Clock | None = None) -> ReportStream:
    return ReportStream(after, 10, 5, clock or Clock())


def event(sequence: int, **more: object) -> bytes:
    data = json.dumps(body(sequence) | more, ensure_ascii=False)
    return f"id: {sequence}\ndata: {data}\n\n".encode()


def told(one: ReportStream, *parts: bytes) -> list[int]:
    return [report.sequence for part in parts for report in one.take(part)]


def position(one: ReportStream) -> str | None:
    return one.headers("key").get("last-event-id")


def refusal(status: int, code: str, **headers: str) -> Reply:
    return Reply(status, headers, json.dumps({"code": code, "detail": "no"}).encode())


def test_reports_are_told_however_their_bytes_are_cut() -> None:
    text = RETRY + event(5) + b": nothing new\n\n" + event(6)
    for size in (1, 7, len(text)):
        one = stream()
        assert told(one, *[text[at : at + size] for at in range(0, len(text), size)]) == [5, 6]
        assert position(one) == "6"


def test_the_first_id_says_where_a_stream_without_a_beginning_is() -> None:
    one = stream()
    assert position(one) is None
    assert told(one, RETRY) == []
    assert position(one) == "4"


def test_a_report_whose_end_has_not_come_is_asked_for_again() -> None:
    one = stream(after=4)
    assert told(one, event(5), event(6)[:-1]) == [5]
    assert position(one) == "5"
    one.begun()
    assert told(one, event(6)) == [6]


def test_a_text_of_a_broker_ends_no_line() -> None:
    (report,) = stream().take(event(5, memo="a\u2028b\u0085c"))
    assert report.memo == "a\u2028b\u0085c"


def test_lines_may_end_as_windows_ends_them() -> None:
    assert told(stream(), event(5).replace(b"\n", b"\r\n")) == [5]


def test_what_is_no_report_is_raised() -> None:
    with pytest.raises(Problem, match="no execution report"):
        told(stream(), b"id: 1\ndata: {}\n\n")


def test_it_waits_longer_each_time_and_gives_up_at_the_deadline() -> None:
    clock = Clock()
    one = stream(clock=clock)
    waits = [one.lost("gone") for _ in range(5)]
    assert waits[0] < 0.06
    assert waits[4] > 0.3
    clock.now = 9.9
    with pytest.raises(Problem) as lost:
        one.lost("gone")
    assert (lost.value.code, lost.value.attempts, lost.value.seconds) == ("no_answer", 6, 9.9)
    assert lost.value.gave_up == "the deadline of 10 s"


def test_a_connection_that_was_had_begins_the_time_anew() -> None:
    clock = Clock()
    one = stream(clock=clock)
    one.lost("gone")
    clock.now = 60
    one.begun()
    assert one.lost("gone again") < 0.06


def test_what_is_refused_for_good_is_raised_and_the_other_waited_for() -> None:
    one = stream()
    with pytest.raises(Problem, match="cursor_expired"):
        one.refused(refusal(410, "cursor_expired"))
    assert one.refused(refusal(503, "unavailable", **{"retry-after": "2"})) >= 2
    assert one.refused(refusal(429, "too_many_readers")) < 1
    assert one.refused(Reply(502, {}, b"bad gateway")) < 1
