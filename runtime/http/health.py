"""/health, /health/live, /health/ready and /metrics of an HTTP process."""

from typing import Literal

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.http.endpoints import JSON
from runtime.http.operations import Operation, Success
from runtime.http.service import Service
from runtime.http.state import measure
from runtime.redis.channel import RedisError


class ReadinessAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """Whether requests can be served now; ``redis`` says whether Redis answers."""

    status: Literal["ok", "unavailable"]
    redis: bool


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
            await context.read_in_task(("PING",))
        except (RedisError, Overloaded):
            return _json(ReadinessAnswer("unavailable", redis=False), 503)
        return _json(ReadinessAnswer("ok", redis=True))

    @router.get("/health/live")
    async def live() -> Response:
        return _json(LivenessAnswer("ok"))

    @router.get("/metrics")
    async def metrics() -> Response:
        await measure(context)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


def _json(answer: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type=JSON.decode())


def _readiness(operation_id: str) -> Operation:
    ready, not_ready = (
        ReadinessAnswer("ok", redis=True),
        ReadinessAnswer("unavailable", redis=False),
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
