"""Every Redis key of the exchange; no other file spells one.

``{pNN}`` is the hash tag of a partition and ``{exchange}`` that of the exchange itself, so that
whatever one Function call touches sits in one Redis Cluster slot. ``N:S`` is an order: instrument
number and sequence.

========================== ======= ============== ======================== =======================
key                        type    writer         readers                  trimmed by
========================== ======= ============== ======================== =======================
{exchange}:genesis         hash    first worker   every worker             never
{exchange}:restoring       string  restore        every worker             restore, at its end
{exchange}:market          string  readapi        readapi                  TTL
{exchange}:registry        stream  ingress        every worker             never (small)
{exchange}:instruments     hash    ingress        registry Functions       never (small)
{exchange}:listed          hash    ingress        registry Functions       never (small)
{exchange}:timers          zset    ingress,       ingress                  ingress, when fired
                                   readapi
{exchange}:timers:armed    hash    ingress,       ingress                  ingress, when fired
                                   readapi
{exchange}:workers:KIND    hash    every worker   leases, ingress, status  entries pruned by age
{exchange}:listeners       string  readapi        persister                TTL
{pNN}:heads                hash    ingress        ingress, matcher         never (one per symbol)
{pNN}:bell                 stream  ingress        matcher                  append, MAXLEN
{pNN}:orders:SYMBOL        stream  ingress        matcher, readapi         persister, when stored
{pNN}:clients              hash    ingress        ingress                  append, by age and count
{pNN}:clients:before       hash    ingress        ingress                  append, TTL
{pNN}:lease:KIND           string  KIND           KIND, commit             TTL
{pNN}:batch                hash    matcher        matcher, status          never (one per partition)
{pNN}:positions            hash    matcher        matcher, ingress         never (one per symbol)
{pNN}:open                 hash    matcher        readapi, ingress         matcher, when closed
{pNN}:closed:N:S           string  matcher        readapi, ingress         TTL set by persister
{pNN}:fills:N:S            list    matcher        readapi                  TTL set by persister
{pNN}:book:SYMBOL          string  matcher        readapi                  matcher, by a snapshot
{pNN}:books                hash    (an earlier    readapi                  never (one per symbol)
                                   version)
{pNN}:prices:SYMBOL        list    matcher        readapi                  matcher, last 1000
{pNN}:balances             hash    matcher        readapi                  never (one per broker)
{pNN}:holdings             hash    matcher        matcher                  never (one per broker
                                                                           and symbol)
{pNN}:instruments          hash    matcher        readapi                  never (one per symbol)
{pNN}:events               stream  matcher        persister, notifier      persister, when stored
                                                                           and notified
{pNN}:reports              stream  persister      notifier, readapi        persister, with events
{pNN}:decided              channel matcher        ingress, readapi         nothing is kept
{pNN}:calendar             hash    calendar       calendar                 never (one per partition)
{pNN}:dead                 stream  matcher        operators                matcher, MAXLEN
{pNN}:stored               string  persister      status, trimming         never
{pNN}:notified             string  notifier       persister, status        never
{hook:ID}:queue            zset    notifier,      notifier, ingress        notifier, when delivered
                                   ingress
{hook:ID}:messages         hash    notifier,      notifier, ingress        notifier, when delivered
                                   ingress
{hook:ID}:progress         hash    notifier       notifier, ingress        TTL, when removed
{hook:ID}:delivered        hash    notifier       ingress                  notifier, age and count
{hook:ID}:delivered:at     zset    notifier       ingress                  notifier, age and count
{hook:ID}:dead             hash    notifier       ingress                  notifier, by count
{hook:ID}:dead:at          zset    notifier       ingress                  notifier, by count
========================== ======= ============== ======================== =======================
"""

from protocol.partitions import PARTITIONS_MAX

GENESIS = "{exchange}:genesis"
RESTORING = "{exchange}:restoring"
MARKET = "{exchange}:market"
"""The small market that runs (development only), as JSON; its starter renews the TTL."""
REGISTRY = "{exchange}:registry"
INSTRUMENTS = "{exchange}:instruments"
LISTED = "{exchange}:listed"
"""Partition → how many symbols it has; ``N:expected`` → ``load:time``: the commands a second that
its latest symbols are expected to add, as of a time in ms."""
LISTENERS = "{exchange}:listeners"
"""It is there while somebody is told execution reports as they come."""
TIMERS = "{exchange}:timers"
"""A broker id, or that and a session behind a slash → the time in ms at which the dead-man switch
fires, or is tried again."""
ARMED = "{exchange}:timers:armed"
"""The same → the id of the mass cancel of the switch."""

_TAGS = [f"{{p{partition:02d}}}:" for partition in range(PARTITIONS_MAX)]


def workers(kind: str) -> str:
    """Worker name → heartbeat, for all workers of one kind."""
    return f"{{exchange}}:workers:{kind}"


def heads(partition: int) -> str:
    """Symbol → last sequence appended; ``@time`` last stamp in ms; ``@bell`` last bell number;
    ``@count`` commands appended so far; :func:`broker_mark` → the bell of the broker's last one."""
    return f"{_TAGS[partition]}heads"


def broker_mark(broker_id: str) -> str:
    """A field of :func:`heads`. No symbol begins like this."""
    return f"@b:{broker_id}"


def bell(partition: int) -> str:
    """One entry per append: the symbols that have news, and their commands while few are waiting.
    Dense ids, so a lost one is noticed."""
    return f"{_TAGS[partition]}bell"


def orders(partition: int, symbol: str) -> str:
    """The log of one symbol; entry id ``<sequence>-0``, fields ``t`` (ms) and ``c`` (command)."""
    return f"{_TAGS[partition]}orders:{symbol}"


def clients(partition: int) -> str:
    """``N:broker:client_order_id`` → ``sequence:time:digest``; ``@since`` when it was begun."""
    return f"{_TAGS[partition]}clients"


def clients_before(partition: int) -> str:
    """The hash that :func:`clients` took the place of."""
    return f"{_TAGS[partition]}clients:before"


def client_field(instrument_number: int, broker_id: str, client_order_id: str) -> str:
    return f"{instrument_number}:{broker_id}:{client_order_id}"


def lease(partition: int, kind: str) -> str:
    """Token of the worker of this kind that owns the partition."""
    return f"{_TAGS[partition]}lease:{kind}"


def batch(partition: int) -> str:
    """``history`` that the partition is in; ``number``, ``hash`` and ``commit`` of the last
    committed batch; ``applied`` counts the commands of all batches; ``bell`` is the number of the
    bell up to which everything is applied."""
    return f"{_TAGS[partition]}batch"


def positions(partition: int) -> str:
    """Symbol → ``sequence:trades`` as of the last commit."""
    return f"{_TAGS[partition]}positions"


def open_orders(partition: int) -> str:
    """``N:S`` → order record."""
    return f"{_TAGS[partition]}open"


def order_field(instrument_number: int, sequence: int) -> str:
    return f"{instrument_number}:{sequence}"


def closed_order(partition: int, field: str) -> str:
    return f"{_TAGS[partition]}closed:{field}"


def fills(partition: int, field: str) -> str:
    return f"{_TAGS[partition]}fills:{field}"


def books(partition: int) -> str:
    """Symbol → book snapshot, where a version before :func:`book` has left one."""
    return f"{_TAGS[partition]}books"


def book(partition: int, symbol: str) -> str:
    """A book snapshot and the changes since (``protocol.books``)."""
    return f"{_TAGS[partition]}book:{symbol}"


def decided(partition: int) -> str:
    """The channel on which each commit tells what it has decided (``protocol.decisions``)."""
    return f"{_TAGS[partition]}decided"


def prices(partition: int, symbol: str) -> str:
    """Prices of the last 1000 trades, oldest first."""
    return f"{_TAGS[partition]}prices:{symbol}"


def balances(partition: int) -> str:
    """Broker id → cash in cents, absolute, as text."""
    return f"{_TAGS[partition]}balances"


def holdings(partition: int) -> str:
    """:func:`holding_field` → shares bought less those sold, absolute, as text. In an exchange that
    an earlier version founded they are counted since a version came that knows them."""
    return f"{_TAGS[partition]}holdings"


def holding_field(instrument_number: int, broker_id: str) -> str:
    return f"{instrument_number}:{broker_id}"


def parse_holding_field(field: bytes) -> tuple[int, str]:
    """Instrument number and broker id."""
    number, _, broker_id = field.decode().partition(":")
    return int(number), broker_id


def instrument_records(partition: int) -> str:
    """Symbol → instrument record, of the symbols that have rules or another status than open."""
    return f"{_TAGS[partition]}instruments"


def events(partition: int) -> str:
    """Entry id ``<batch number>-0``, fields ``h`` (chain hash, hex) and ``b`` (batch)."""
    return f"{_TAGS[partition]}events"


def reports(partition: int) -> str:
    """Entry id ``<batch number>-0``, field ``r``: the numbers of the execution reports of the batch
    (``protocol.numbering``). A batch without reports has no entry."""
    return f"{_TAGS[partition]}reports"


def calendar(partition: int) -> str:
    """``history`` and ``told``: the instant up to which the calendar has told all changes, in ms,
    and the number of the last instrument that it has told."""
    return f"{_TAGS[partition]}calendar"


def dead(partition: int) -> str:
    """Entries no one could read: ``symbol``, ``sequence``, ``reason``, ``entry``."""
    return f"{_TAGS[partition]}dead"


def stored(partition: int) -> str:
    """Number of the last batch that PostgreSQL has."""
    return f"{_TAGS[partition]}stored"


def notified(partition: int) -> str:
    """Number of the last batch that was fanned out to the webhook queues."""
    return f"{_TAGS[partition]}notified"


def hook_queue(endpoint_id: str) -> str:
    """Message id → time of the next attempt, ms."""
    return f"{{hook:{endpoint_id}}}:queue"


def hook_messages(endpoint_id: str) -> str:
    """Message id → message."""
    return f"{{hook:{endpoint_id}}}:messages"


def hook_progress(endpoint_id: str) -> str:
    """``history`` and ``epoch`` that the queue is in; ``pNN`` → last batch that was queued for
    this endpoint; ``noticed`` → last entry of the registry of which it was told; ``delivered`` →
    time of the last success, ms; ``removed`` once the endpoint is removed."""
    return f"{{hook:{endpoint_id}}}:progress"


def hook_delivered(endpoint_id: str) -> str:
    """Message id → message that was delivered."""
    return f"{{hook:{endpoint_id}}}:delivered"


def hook_delivered_at(endpoint_id: str) -> str:
    """Message id → when it was delivered, ms."""
    return f"{{hook:{endpoint_id}}}:delivered:at"


def hook_dead(endpoint_id: str) -> str:
    """Message id → message that was given up."""
    return f"{{hook:{endpoint_id}}}:dead"


def hook_dead_at(endpoint_id: str) -> str:
    """Message id → when it was given up, ms."""
    return f"{{hook:{endpoint_id}}}:dead:at"
