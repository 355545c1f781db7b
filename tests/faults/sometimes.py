"""C13, "sometimes": what a run must have reached, so that no oracle is content with nothing.

Rows and oracles note what they meet. At the end the table is printed, and the run fails when
something was never reached although the rows that reach it have run.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from protocol import codec
from protocol.batches import Batch
from protocol.events import CommandRefused

REACHED: Counter[str] = Counter()


def reached(what: str, count: int = 1) -> None:
    """Note that something was met ``count`` times."""
    REACHED[what] += count


def note_batch(batch: Batch) -> None:
    """The states that a batch brings, and the commands that it refuses."""
    for payload in batch.orders:
        record = codec.decode_order(payload)
        reached(f"state {record.state.value} {record.reason.value}".rstrip())
    for entry in batch.entries:
        for event in entry.events:
            if isinstance(event, CommandRefused):
                reached(f"refused by the matcher: {event.reason}")


def note_answers(answers: Mapping[str, int]) -> None:
    """How the requests of the brokers were answered."""
    for what, count in answers.items():
        reached(f"answer {what}", count)


def note_log(text: str) -> None:
    """What the log of a worker says of its ends."""
    for message in ENDS:
        count = text.count(f'"message": "{message}"')
        if count:
            reached(f"worker {message}", count)


def unreached(rows: Iterable[str]) -> list[str]:
    """What was not met although every row that reaches it is among ``rows``, which were run."""
    ran = set(rows)
    return [what for what, by in EXPECTED.items() if ran.issuperset(by) and not REACHED[what]]


def table(rows: Iterable[str]) -> list[str]:
    """A line for each thing that was met or should have been."""
    missing = unreached(rows)
    return [
        f"  {REACHED[what]:>9,}  {what}{'  NEVER REACHED' if what in missing else ''}"
        for what in sorted(REACHED.keys() | set(missing))
    ]


ENDS = ("fenced", "start refused", "a new history has begun", "dead letter", "partition lost")
EXPECTED: dict[str, tuple[str, ...]] = {}


def _expect(rows: tuple[str, ...], *names: str) -> None:
    EXPECTED.update(dict.fromkeys(names, rows))


_expect(
    ("failpoints",),
    *(f"failpoint matcher.{moment}" for moment in ("send", "sent", "received")),
    *(f"failpoint persister.{moment}" for moment in ("send", "sent", "received")),
    *(f"failpoint store.{moment}" for moment in ("begin", "commit", "committed")),
    *(f"failpoint notifier.{moment}" for moment in ("send", "sent", "received")),
    *(f"failpoint log.{moment}" for moment in ("send", "sent", "received")),
    *("failpoint courier.sent", "failpoint reads.sent"),
)
_expect(
    ("kills",),
    *("state new", "state partially_filled", "state filled"),
    *("state canceled user_request", "state canceled mass_cancel", "state canceled ioc_remainder"),
    *("state canceled no_liquidity", "state canceled fok_not_filled"),
    *("state canceled self_trade_prevention", "state rejected post_only_would_cross"),
    *("answer 201", "answer cancel 204", "answer amend 200", "answer cancel-all 200"),
    *("answer read order 200", "answer read book 200"),
)
_expect(("redis_away",), "answer 503 unavailable")
_expect(("full_memory",), "answer 503 overloaded")
_expect(("lost_replies",), "answer 503 outcome_unknown", "answer 200")
_expect(("two_owners", "frozen_workers"), "worker fenced")
_expect(("cut_log",), "worker start refused")
_expect(("poison",), "worker dead letter", "refused by the matcher: unreadable")
