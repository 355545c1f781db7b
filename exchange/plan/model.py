"""From a load and what was measured to processes, servers, memory and disk. Pure."""

import math
from dataclasses import dataclass

from exchange.plan.constants import Constants
from protocol.partitions import PARTITIONS_MAX
from simulator.load.market import ZIPF_EXPONENT, MarketLoad

SHARE_OF_A_CORE = 0.6  # Beyond it a process that waits for its turn makes everybody wait.
POSTGRES_CORES_MAX = 64  # One server. It is the only part that cannot be divided here.
POSTGRES_WAL_MAX = 500_000_000  # Bytes a second that one good disk takes.
CLOSED_SECONDS = 600  # The default of EXCHANGE_PERSISTER_CLOSED_SECONDS.
REDIS_SPARE = 1 / 0.8  # Orders are refused when 80 % of maxmemory are used.
REDIS_REWRITE = 2.0  # A rewrite of its log copies the pages that change meanwhile.
PER_PARTITION = {
    "matcher": "matchers",
    "persister": "persisters",
    "notifier": "notifiers",
    "redis": "Redis nodes",
}
ORDER = ("http", "matcher", "persister", "notifier", "redis", "postgres")


@dataclass(frozen=True, slots=True)
class Load:
    """Of one exchange. ``told`` is the share of the trades of which webhooks tell."""

    percent: float
    hours: float = 7.0
    told: float = 1.0

    @property
    def requests(self) -> float:
        """A second."""
        return MarketLoad(self.percent).requests_per_second

    @property
    def commands(self) -> float:
        """Orders and cancels a second: what reaches the log."""
        market = MarketLoad(self.percent)
        return market.orders_per_second + market.cancels_per_second

    @property
    def hottest(self) -> float:
        """The share of the symbol that is traded most."""
        ranks = range(1, MarketLoad(self.percent).symbols + 1)
        return 1 / sum(math.pow(rank, -ZIPF_EXPONENT) for rank in ranks)


@dataclass(frozen=True, slots=True)
class Need:
    """Of one kind of process: units of work a second, cores in all, and how many there must be."""

    kind: str
    unit: str
    rate: float
    cores: float
    count: int


@dataclass(frozen=True, slots=True)
class Limit:
    """Where the exchange stops to grow by more of the same, in percent of B3, and why."""

    percent: float
    what: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The plan for a load. Sizes are in bytes; those for a day are for its trading hours."""

    load: Load
    needs: list[Need]
    open_orders: float
    redis_memory: float
    redis_maxmemory: float
    redis_disk: float
    matcher_memory: float
    postgres_day: float
    wal_day: float
    limits: list[Limit]

    @property
    def reached(self) -> list[Limit]:
        """The limits that this load is beyond."""
        return [limit for limit in self.limits if limit.percent < self.load.percent]


def plan(load: Load, constants: Constants) -> Answer:
    """How many of everything ``load`` needs."""
    sizes, commands = constants.sizes, load.commands
    day = commands * load.hours * 3600
    open_orders = day * constants.open_orders_per_command
    redis = open_orders * sizes.redis_open_order
    redis += commands * CLOSED_SECONDS * sizes.redis_recent_command
    return Answer(
        load=load,
        needs=[_need(kind, load, constants) for kind in ORDER],
        open_orders=open_orders,
        redis_memory=redis * REDIS_REWRITE,
        redis_maxmemory=redis * REDIS_SPARE,
        redis_disk=2 * redis + commands * CLOSED_SECONDS * sizes.redis_log_command,
        matcher_memory=open_orders * sizes.matcher_open_order,
        postgres_day=day * sizes.postgres_command,
        wal_day=day * sizes.postgres_wal_command,
        limits=sorted(_limits(load, constants), key=lambda limit: limit.percent),
    )


def rate_of(kind: str, load: Load, constants: Constants) -> float:
    """Units of work a second of a kind of process."""
    match constants.costs[kind].unit:
        case "request":
            return load.requests
        case "message":
            return load.commands * constants.messages_per_command * load.told
        case _:
            return load.commands


def _need(kind: str, load: Load, constants: Constants) -> Need:
    cost, rate = constants.costs[kind], rate_of(kind, load, constants)
    count = max(1, math.ceil(rate / cost.most(SHARE_OF_A_CORE)))
    if kind == "postgres":  # One server with as many cores; its wake-ups are paid once.
        return Need(kind, cost.unit, rate, cost.cores(rate), 1)
    return Need(kind, cost.unit, rate, cost.cores(rate, count), count)


def _limits(load: Load, constants: Constants) -> list[Limit]:
    costs, sizes = constants.costs, constants.sizes
    one = Load(100.0, load.hours, load.told)

    def percent(most: float, at_100: float) -> float:
        return math.inf if at_100 == 0 else 100 * most / at_100

    limits = []
    for kind, words in (
        ("redis", "the log and the commits of the busiest symbol fill one thread of Redis"),
        ("matcher", "the busiest symbol fills one matcher"),
    ):
        busiest = one.commands * one.hottest
        limits.append(Limit(percent(costs[kind].most(SHARE_OF_A_CORE), busiest), words))
    for kind, several in PER_PARTITION.items():
        most = PARTITIONS_MAX * costs[kind].most(SHARE_OF_A_CORE)
        words = f"no more than {PARTITIONS_MAX} {several} have work, one for each partition"
        limits.append(Limit(percent(most, rate_of(kind, one, constants)), words))
    cores = POSTGRES_CORES_MAX * SHARE_OF_A_CORE
    stored = (cores - costs["postgres"].wake) / costs["postgres"].busy * 1e6
    words = f"PostgreSQL: {POSTGRES_CORES_MAX} cores of one server"
    limits.append(Limit(percent(stored, one.commands), words))
    words = f"PostgreSQL: {POSTGRES_WAL_MAX // 10**6} MB/s written ahead to one disk"
    written = one.commands * sizes.postgres_wal_command
    limits.append(Limit(percent(POSTGRES_WAL_MAX, written), words))
    return limits
