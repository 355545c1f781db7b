"""Random flows of commands: by Hypothesis, which makes a failing one small, and by a seed.

A flow holds recipes: commands whose times and whose orders are relative. :func:`resolved` makes
them absolute.
"""

import random

import msgspec
from hypothesis import strategies as st

from protocol.commands import (
    AmendOrder,
    BustTrade,
    CancelOrder,
    Command,
    MassCancel,
    PlaceOrder,
    PlaceSpecialOrder,
    SetBroker,
    SetInstrument,
    SetStatus,
    Tick,
)
from protocol.enums import (
    InstrumentStatus,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)

Recipe = Command
"""``valid_until_ms`` is the life of an order in ms; ``order_sequence`` is the place of the order
among all entries, in thousandths; ``created_ms`` 1 is another time."""

Flow = list[tuple[int, Recipe]]
"""Milliseconds since the command before, and the recipe."""


def resolved(recipe: Recipe, sequence: int, time_ms: int) -> Command:
    """The command at this place and time."""
    changes: dict[str, int] = {}
    if isinstance(recipe, PlaceOrder | AmendOrder) and recipe.valid_until_ms is not None:
        changes["valid_until_ms"] = time_ms + recipe.valid_until_ms
    if isinstance(recipe, CancelOrder | AmendOrder):
        changes["order_sequence"] = 1 + recipe.order_sequence * sequence // 1000
    return msgspec.structs.replace(recipe, **changes) if changes else recipe


BROKERS = st.sampled_from(["broker-0", "broker-1", "broker-2"])
DOCUMENTS = st.sampled_from(["1", "2", "1."])
SIDES = st.sampled_from(Side)
PRICES = st.integers(995, 1005)
QUANTITIES = st.integers(1, 20)
# Time runs by at most 3 ms per command, so lives of up to 60 ms end within most runs.
LIVES = st.one_of(st.integers(0, 60), st.just(10**9))
PREVENTIONS = st.sampled_from(SelfTradePrevention)
PLACES_IN_LOG = st.integers(0, 999)
OWNERS = st.tuples(st.just("") | BROKERS, st.sampled_from([0, 0, 1]))

LIMITS = st.builds(
    PlaceOrder, BROKERS, DOCUMENTS, SIDES, st.just(OrderType.LIMIT), PRICES, QUANTITIES, LIVES
)
MARKETS = st.builds(
    *(PlaceOrder, BROKERS, DOCUMENTS, SIDES, st.just(OrderType.MARKET)),
    *(st.none(), QUANTITIES, st.none()),
)
AT_ONCE = st.builds(
    *(PlaceSpecialOrder, BROKERS, DOCUMENTS, SIDES, st.just(OrderType.LIMIT)),
    *(PRICES, QUANTITIES, st.none(), st.just("")),
    *(st.sampled_from([TimeInForce.IOC, TimeInForce.FOK]), st.just(False), PREVENTIONS),
)
PREVENTING = st.builds(
    *(PlaceSpecialOrder, BROKERS, DOCUMENTS, SIDES, st.just(OrderType.LIMIT)),
    *(PRICES, QUANTITIES, st.none(), st.just("")),
    *(st.sampled_from([None, TimeInForce.DAY]), st.booleans(), PREVENTIONS, st.just("memo")),
)
ICEBERGS = st.builds(
    *(PlaceSpecialOrder, BROKERS, DOCUMENTS, SIDES, st.just(OrderType.LIMIT)),
    *(PRICES, st.integers(5, 20), LIVES, st.just("")),
    *(st.none(), st.booleans(), PREVENTIONS, st.just(""), st.none(), st.integers(1, 5)),
)
STOPS = st.builds(
    *(PlaceSpecialOrder, BROKERS, DOCUMENTS, SIDES, st.just(OrderType.STOP)),
    *(st.none(), QUANTITIES, st.none() | LIVES, st.just("")),
    *(st.none(), st.just(False), PREVENTIONS, st.just(""), PRICES),
)
STOP_LIMITS = st.builds(
    *(PlaceSpecialOrder, BROKERS, DOCUMENTS, SIDES, st.just(OrderType.STOP_LIMIT)),
    *(PRICES, st.integers(5, 20), st.none() | LIVES, st.just("")),
    *(st.none(), st.just(False), PREVENTIONS, st.just(""), PRICES, st.integers(0, 5)),
)
ANYTHING = st.builds(  # Most of these do not make sense.
    *(PlaceSpecialOrder, BROKERS, DOCUMENTS, SIDES, st.sampled_from(OrderType)),
    *(st.none() | PRICES, st.integers(0, 20), st.none() | LIVES, st.just("")),
    *(st.none() | st.sampled_from(TimeInForce), st.booleans(), PREVENTIONS),
    *(st.sampled_from(["", "m" * 64, "m" * 65]), st.none() | PRICES, st.integers(-1, 21)),
)
CANCELS = st.builds(lambda place, owner: CancelOrder(place, *owner), PLACES_IN_LOG, OWNERS)
AMENDS = st.builds(
    lambda place, price, quantity, life, owner: AmendOrder(
        place, price, quantity, life, None, *owner
    ),
    *(PLACES_IN_LOG, st.none() | PRICES, st.none() | QUANTITIES, st.none() | LIVES, OWNERS),
)
MASS_CANCELS = st.builds(
    *(MassCancel, st.just("m"), BROKERS, st.none() | SIDES, st.just("") | DOCUMENTS),
    st.sampled_from([StateReason.MASS_CANCEL, StateReason.CANCEL_TIMER, StateReason.OPERATOR]),
)
BANDS = st.sampled_from([0, 0, 20, 40, 60])  # 20 basis points are 2 cents.
INSTRUMENTS = st.builds(
    *(SetInstrument, st.sampled_from([1, 1, 2]), st.sampled_from([1, 1, 5]), BANDS),
    *(st.sampled_from([0, 998, 1000]), BANDS, st.sampled_from([0, 10])),
)
STATUSES = st.builds(
    SetStatus,
    st.sampled_from([InstrumentStatus.OPEN, InstrumentStatus.OPEN, *InstrumentStatus]),
    st.just("why"),
)
LIMITED = st.builds(
    *(SetBroker, BROKERS, st.sampled_from([True, True, False]), st.sampled_from([0, 2])),
    *(st.sampled_from([0, 10]), st.sampled_from([0, 15_000]), st.sampled_from([0, 30])),
)
FREED = st.builds(SetBroker, BROKERS)
BUSTS = st.builds(
    *(BustTrade, st.integers(0, 9), PRICES, QUANTITIES, BROKERS, BROKERS),
    *(st.just(1), st.just(2), st.just("why")),
)
OPERATOR = st.one_of(STATUSES, STATUSES, INSTRUMENTS, LIMITED, FREED, BUSTS)
PLACES = st.one_of(LIMITS, LIMITS, MARKETS, AT_ONCE, PREVENTING, ICEBERGS, STOPS, STOP_LIMITS)
RECIPES: st.SearchStrategy[Recipe] = st.one_of(
    *(PLACES, PLACES, PLACES, ANYTHING, CANCELS, AMENDS, MASS_CANCELS, OPERATOR, st.just(Tick()))
)
STEPS = st.integers(0, 3)
FLOWS: st.SearchStrategy[Flow] = st.lists(st.tuples(STEPS, RECIPES), max_size=120)


def long_flow(seed: int, count: int, *, is_ruled: bool = False) -> Flow:
    """More commands than Hypothesis draws in one example, and a busier market; with ``is_ruled``
    the operator changes its rules and its status now and then."""
    draw = random.Random(seed)
    flow: Flow = []
    for _ in range(count):
        by_operator = is_ruled and draw.random() < 0.05
        flow.append((draw.randint(0, 3), _order_of(draw) if by_operator else _recipe(draw)))
    return flow


def _order_of(draw: random.Random) -> Recipe:
    """What the operator does."""
    kind = draw.random()
    if kind < 0.6:
        statuses = [InstrumentStatus.OPEN] * 10 + list(InstrumentStatus)
        return SetStatus(draw.choice(statuses), "why")
    if kind < 0.7:
        bands = draw.choice([0, 0, 150, 300]), draw.choice([0, 0, 50, 150])
        tick, lot = draw.choice([1, 1, 1, 2]), draw.choice([1, 1, 1, 1, 5])
        return SetInstrument(tick, lot, bands[0], 0, bands[1], draw.choice([0, 20, 20]))
    broker, _, _ = _owner(draw)
    if kind < 0.85:
        return SetBroker(broker)
    if kind < 0.88:
        return SetBroker(broker, False)
    if kind < 0.95:
        limits = draw.choice([0, 5]), draw.choice([0, 400]), draw.choice([0, 400_000])
        return SetBroker(broker, True, *limits, draw.choice([0, 100]))
    other, _, _ = _owner(draw)
    return BustTrade(draw.randint(1, 50), 1000, draw.randint(1, 9), broker, other, 1, 2)


def _recipe(draw: random.Random) -> Recipe:
    kind = draw.random()
    if kind < 0.4:
        life = draw.choice([5, 50, 500, 10**9])
        is_market = draw.random() < 0.05
        return PlaceOrder(
            *_owner(draw),
            OrderType.MARKET if is_market else OrderType.LIMIT,
            None if is_market else draw.randint(980, 1020),
            draw.randint(1, 500),
            None if is_market else life,
        )
    if kind < 0.75:
        return _special(draw)
    if kind < 0.87:
        return CancelOrder(_recent(draw))
    if kind < 0.97:
        price = draw.choice([None, draw.randint(980, 1020)])
        return AmendOrder(_recent(draw), price, draw.choice([None, 50, 300]), None)
    if kind < 0.975:
        broker, document, side = _owner(draw)
        return MassCancel("m", broker, draw.choice([None, side]), draw.choice(["", document]))
    return Tick()


def _recent(draw: random.Random) -> int:
    """Mostly an order that is young, because it may still be open."""
    return draw.randrange(970 if draw.random() < 0.8 else 0, 1000)


def _owner(draw: random.Random) -> tuple[str, str, Side]:
    side = draw.choice([Side.BID, Side.ASK])
    return f"broker-{draw.randrange(5)}", draw.choice("123"), side


def _special(draw: random.Random) -> PlaceSpecialOrder:
    order_type = draw.choice([OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP_LIMIT])
    if draw.random() < 0.1:
        order_type = OrderType.STOP
    has_price = order_type is not OrderType.STOP
    lives = draw.choice([None, None, TimeInForce.DAY])
    if order_type is OrderType.LIMIT and draw.random() < 0.3:
        lives = draw.choice([TimeInForce.IOC, TimeInForce.FOK])
    rests = lives in (None, TimeInForce.DAY)
    quantity = draw.randint(1, 500)
    return PlaceSpecialOrder(
        *_owner(draw),
        order_type,
        draw.randint(980, 1020) if has_price else None,
        quantity,
        None,
        "",
        lives,
        order_type is OrderType.LIMIT and rests and draw.random() < 0.2,
        draw.choice(list(SelfTradePrevention)),
        "",
        None if order_type is OrderType.LIMIT else draw.randint(980, 1020),
        max(1, quantity // draw.randint(2, 9)) if rests and has_price else 0,
    )
