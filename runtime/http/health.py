"""/health, /health/live, /health/ready and /metrics of an HTTP process."""

from typing import Literal

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from protocol import keys
from protocol.partitions import all_partitions
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.http.endpoints import JSON
from runtime.http.operations import Operation, Success
from runtime.http.service import Service
from runtime.http.state import measure
from runtime.redis.channel import RedisError
from runtime.redis.lags import OWNER_KINDS, OwnerKind


class ReadinessAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """Whether requests can be served now; ``redis`` says whether Redis answers. ``missing`` names
    the kinds of workers that some partition has none of: what they do waits until one is back."""

    status: Literal["ok", "unavailable"]
    redis: bool
    missing: list[OwnerKind]


class LivenessAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The process works."""

    status: Literal["ok"]


def create(context: Context) -> Service:
    return Service(
        name="health",
        endpoints=[],
        router=_router(context),
        operations={
            ("GET", "/health"): _readiness("get_health"),
            ("GET", "/health/ready"): _readiness("get_readiness"),
            ("GET", "/health/live"): _LIVENESS,
            ("GET", "/metrics"): _METRICS,
        },
    )


def _router(context: Context) -> APIRouter:
    router = APIRouter()

    @router.get("/health")
    @router.get("/health/ready")
    async def ready() -> Response:
        try:
            missing = await _missing(context)
        except (RedisError, Overloaded):
            return _json(ReadinessAnswer("unavailable", redis=False, missing=[]), 503)
        return _json(ReadinessAnswer("ok", redis=True, missing=missing))

    @router.get("/health/live")
    async def live() -> Response:
        return _json(LivenessAnswer("ok"))

    @router.get("/metrics")
    async def metrics() -> Response:
        await measure(context)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _missing(context: Context) -> list[OwnerKind]:
    """The kinds of workers that some partition has none of."""
    partitions = all_partitions(context.genesis.partitions)
    tokens = await context.read_in_task(
        *[("GET", keys.lease(number, kind)) for kind in OWNER_KINDS for number in partitions]
    )
    each = len(partitions)
    of_kinds = [tokens[at : at + each] for at in range(0, len(tokens), each)]
    return [kind for kind, found in zip(OWNER_KINDS, of_kinds, strict=True) if None in found]


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type=JSON.decode())


def _readiness(operation_id: str) -> Operation:
    ready, not_ready = (
        ReadinessAnswer("ok", redis=True, missing=[]),
        ReadinessAnswer("unavailable", redis=False, missing=[]),
    )
    return Operation(
        operation_id=operation_id,
        summary="Whether requests can be served now",
        key=None,
        answers={
            200: Success("They can.", ReadinessAnswer, msgspec.json.encode(ready)),
            503: Success("They cannot.", ReadinessAnswer, msgspec.json.encode(not_ready)),
        },
        can_be_refused=False,
    )


_LIVENESS = Operation(
    operation_id="get_liveness",
    summary="Whether the process works",
    key=None,
    answers={200: Success("It works.", LivenessAnswer, msgspec.json.encode(LivenessAnswer("ok")))},
    can_be_refused=False,
)

_METRICS = Operation(
    operation_id="get_metrics",
    summary="Prometheus metrics of this process",
    key=None,
    answers={
        200: Success(
            "Metrics in the text format of Prometheus.",
            str,
            b'exchange_http_requests_total{endpoint="/orders",status="201"} 17.0\n',
            media_type="text/plain",
        )
    },
    can_be_refused=False,
)
