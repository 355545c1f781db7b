"""When a symbol needs a tick."""

from matcher.agenda import GRACE_MS, Agenda


def test_a_tick_is_due_a_moment_after_the_expiry_and_once() -> None:
    agenda = Agenda()
    agenda.plan("A", 1000)
    agenda.plan("B", 2000)
    assert agenda.next_ms() == 1000 + GRACE_MS
    assert agenda.pop_due(1000 + GRACE_MS - 1) == []
    assert agenda.pop_due(1000 + GRACE_MS) == ["A"]
    assert agenda.pop_due(1000 + GRACE_MS) == []
    assert agenda.next_ms() == 2000 + GRACE_MS


def test_a_plan_that_changed_counts_as_it_is_now() -> None:
    agenda = Agenda()
    agenda.plan("A", 1000)
    agenda.plan("A", 500)
    assert agenda.pop_due(500 + GRACE_MS) == ["A"]
    agenda.plan("A", 3000)
    agenda.plan("A", None)
    assert agenda.pop_due(10_000) == []
