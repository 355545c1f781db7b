"""/health, /health/live, /health/ready and /metrics of an HTTP process."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.http.context import Context
from runtime.redis.channel import RedisError


def health_router(context: Context) -> APIRouter:
    router = APIRouter(tags=["health"])

    async def redis_answers() -> bool:
        try:
            await context.read(("PING",))
        except RedisError:
            return False
        return True

    @router.get("/health")
    @router.get("/health/ready")
    async def ready() -> JSONResponse:
        """Whether requests can be served now."""
        healthy = await redis_answers()
        return JSONResponse(
            {"status": "ok" if healthy else "unavailable", "redis": healthy},
            status_code=200 if healthy else 503,
        )

    @router.get("/health/live")
    async def live() -> JSONResponse:
        """Whether the process turns."""
        return JSONResponse({"status": "ok"})

    @router.get("/metrics")
    async def metrics() -> Response:
        """Prometheus metrics of this process."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
