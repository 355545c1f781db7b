"""C10, real-time order: an order that was acknowledged before another was sent comes before it."""

from collections import defaultdict
from collections.abc import Iterable

from protocol import ids
from tests.faults.load import Sent


def late_orders(acknowledged: Iterable[Sent]) -> list[str]:
    """Orders that come too early in the log of their symbol, at most one of each symbol."""
    by_symbol: defaultdict[str, list[Sent]] = defaultdict(list)
    for sent in acknowledged:
        by_symbol[sent.body["symbol"]].append(sent)
    return [problem for sents in by_symbol.values() if (problem := _first(sents))]


def _first(sents: list[Sent]) -> str:
    """Both instants of every order, as they came; when one is sent, the highest sequence that was
    acknowledged until then must be below its own."""
    instants = [(sent.at, 1, sent) for sent in sents] + [(sent.began, 0, sent) for sent in sents]
    highest, of = 0, ""
    for _, is_end, sent in sorted(instants, key=lambda instant: instant[:2]):
        decoded = ids.decode(sent.order_id)
        assert decoded is not None, "it was acknowledged with this id"
        sequence = decoded.sequence
        if not is_end and sequence < highest:
            return f"C10: {sent.order_id} comes before {of}, which was acknowledged before it"
        if is_end and sequence > highest:
            highest, of = sequence, sent.order_id
    return ""
