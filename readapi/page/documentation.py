"""What OpenAPI says of the calls that the live page brings: the health and the small market."""

import msgspec

from readapi.page.assets import ViewerKeyAnswer
from readapi.page.health import HealthAnswer, health_answer
from readapi.page.market import MarketAnswer, MarketBody, market_running
from runtime.http import samples
from runtime.http.operations import ADMIN_KEY, Operation, Success
from runtime.http.problems import Problem, invalid_body, unauthorized, unavailable
from runtime.redis.state import ExchangeState, Owners, PartitionState, TrafficState, WorkerState

EXAMPLE = ExchangeState(
    passed=True,
    history_id="3f1c9a7e5b2d4c608f7e6d5c4b3a2918",
    execution_price="maker",
    redis_memory_bytes=48_000_000,
    redis_memory_bytes_max=None,
    partitions=[
        PartitionState(
            partition="p00",
            owners=Owners("matcher-1", "persister-1", "notifier-1"),
            symbols=29,
            open_orders=1201,
            logged=20_417,
            backlog=3,
            batch=9100,
            to_store=12,
            to_notify=1,
        )
    ],
    workers=[
        WorkerState(
            kind="http",
            instance="http-1",
            host="exchange-host",
            pid=4711,
            seen_ms_ago=420,
            alive=True,
            health="ready",
            memory_bytes=120_000_000,
            traffic=TrafficState(requests_per_second=1320.4, p50_ms=0.6, p99_ms=3.1),
        )
    ],
)


def _invalid(field: str, kind: str, detail: str) -> Problem:
    return invalid_body([{"loc": ("body", field), "type": kind, "msg": detail}])


_WATCHERS = "The admin key or, in development, the viewer key."
_PROBLEMS = (unauthorized("admin key"), unavailable())

HEALTH = Operation(
    operation_id="get_exchange_health",
    summary="Read the state of the whole exchange",
    description=f"{_WATCHERS} Who owns which partition, what waits to be done, how every worker is,"
    " and what is wrong in plain sentences. It is answered also while Redis or PostgreSQL is away.",
    key=ADMIN_KEY,
    answers={
        200: Success(
            "The state, at most half a second old.",
            HealthAnswer,
            msgspec.json.encode(health_answer(EXAMPLE, True, samples.TIME_MS)),
        )
    },
    problems=(unauthorized("admin key"),),
)

VIEWER_KEY = Operation(
    operation_id="get_viewer_key",
    summary="The key with which the live page looks",
    description="It sees the market and the health of the exchange. It cannot trade.",
    key=None,
    answers={
        200: Success(
            "The key.",
            ViewerKeyAnswer,
            b'{"viewer_key":"vk_2v5b7XcQw0m3nN1kPz8rT4yU6iO9aSdFgHjKlQwErTy"}',
        )
    },
)

_RUNNING = MarketAnswer(percent=10, seconds_left=300).model_dump_json().encode()

START_MARKET = Operation(
    operation_id="start_market",
    summary="Start a small market",
    description=f"{_WATCHERS} Made-up brokers trade the best-known symbols over HTTP, like any"
    " broker. One such market runs at a time; it stops by itself and with the exchange.",
    key=ADMIN_KEY,
    body=MarketBody,
    body_examples={"ten percent of B3 for five minutes": {"percent": 10, "seconds": 300}},
    answers={202: Success("It has been started.", MarketAnswer, _RUNNING)},
    problems=(
        *_PROBLEMS,
        market_running(),
        invalid_body([{"loc": ("body", 0), "type": "json_invalid", "msg": "JSON decode error"}]),
        _invalid("percent", "int_type", "Input should be a valid integer"),
        _invalid("percents", "extra_forbidden", "Extra inputs are not permitted"),
    ),
)

READ_MARKET = Operation(
    operation_id="get_market",
    summary="Which small market runs",
    key=ADMIN_KEY,
    answers={200: Success("The market; nulls when none runs.", MarketAnswer, _RUNNING)},
    problems=_PROBLEMS,
)

STOP_MARKET = Operation(
    operation_id="stop_market",
    summary="Stop the small market",
    description="Its orders stay until they expire. It is no error when none runs.",
    key=ADMIN_KEY,
    answers={204: Success("It stops within a second.")},
    problems=_PROBLEMS,
)
