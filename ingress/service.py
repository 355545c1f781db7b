"""Ingress as a service: what it offers and how it is put together."""

from fastapi import APIRouter

from ingress.appender import Appender
from ingress.brokers import brokers_router
from ingress.debug import debug_router
from ingress.documentation import AMEND, CANCEL, PLACE
from ingress.intake import schemas
from ingress.routes import OrderRoutes
from ingress.settings import IngressSettings
from runtime.connections import AsyncChannel
from runtime.http.context import Context
from runtime.http.endpoints import Endpoint
from runtime.http.service import Service
from runtime.settings import load


def create(context: Context) -> Service:
    settings = load(
        IngressSettings, redis_url=context.settings.redis_url, instance=context.settings.instance
    )
    appender = Appender(settings.redis_url, f"log-{settings.instance}", settings.waiting_max)
    channel = AsyncChannel(settings.redis_url, f"registrar-{settings.instance}")
    routes = OrderRoutes(context, appender, channel, settings.decision_wait_ms / 1000)

    async def stop() -> None:
        await appender.close()
        await channel.close()

    router = APIRouter()
    router.include_router(brokers_router(context, channel))
    if context.settings.is_development:
        router.include_router(debug_router(context, channel))
    return Service(
        name="ingress",
        endpoints=[
            Endpoint("POST", "/orders", routes.place, PLACE),
            Endpoint("PATCH", "/orders/{order_id}", routes.amend, AMEND),
            Endpoint("POST", "/orders/{order_id}/cancel", routes.cancel, CANCEL),
        ],
        router=router,
        schemas=schemas(),
        stop=stop,
    )
