"""Ingress as a service: what it offers and how it is put together."""

import asyncio
import contextlib

from fastapi import APIRouter

from ingress.appender import Appender
from ingress.brokers import brokers_router
from ingress.debug import debug_router
from ingress.documentation import (
    AMEND,
    CANCEL,
    CANCEL_BY_CLIENT_ID,
    ISSUE_KEY,
    PLACE,
    REGISTER,
    RESET,
    REVOKE_KEYS,
)
from ingress.instrument_documentation import BUST_TRADE, SET_STATUS, SET_STOCK
from ingress.instruments import instruments_router
from ingress.pressure import Pressure
from ingress.routes import OrderRoutes
from ingress.settings import IngressSettings
from runtime.http.context import Context
from runtime.http.endpoints import Endpoint
from runtime.http.service import Service
from runtime.process.settings import load
from runtime.redis.channel import AsyncChannel
from runtime.redis.functions.append import Limits


def create(context: Context) -> Service:
    settings = load(
        IngressSettings, redis_url=context.settings.redis_url, instance=context.settings.instance
    )
    appender = Appender(
        settings.redis_url,
        f"log-{settings.instance}",
        settings.waiting_max,
        context,
        Limits(
            backlog=settings.backlog_max,
            unstored=settings.unstored_max,
            records=settings.client_ids_max,
            record_ms=settings.client_ids_hours * 3_600_000,
        ),
    )
    channel = AsyncChannel(
        settings.redis_url, f"registrar-{settings.instance}", on_connect=context.follow_history
    )
    gauge = AsyncChannel(settings.redis_url, f"pressure-{settings.instance}")
    pressure = Pressure(gauge)
    routes = OrderRoutes(context, appender, channel, pressure, settings.decision_wait_ms / 1000)
    watching: set[asyncio.Task[None]] = set()

    async def start() -> None:
        watching.add(asyncio.create_task(pressure.watch()))

    async def stop() -> None:
        for task in watching:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await gauge.close()
        await appender.close()
        await channel.close()

    router = APIRouter()
    router.include_router(brokers_router(context, channel))
    decision_seconds = settings.decision_wait_ms / 1000
    router.include_router(instruments_router(context, channel, appender, decision_seconds))
    operations = {
        ("POST", "/register"): REGISTER,
        ("POST", "/admin/brokers/{broker_id}/api-key"): ISSUE_KEY,
        ("DELETE", "/admin/brokers/{broker_id}/api-key"): REVOKE_KEYS,
        ("PUT", "/admin/stocks/{symbol}"): SET_STOCK,
        ("PUT", "/admin/stocks/{symbol}/status"): SET_STATUS,
        ("POST", "/admin/trades/{trade_id}/bust"): BUST_TRADE,
    }
    if context.settings.is_development:
        router.include_router(debug_router(context))
        operations["POST", "/debug/reset"] = RESET
    return Service(
        name="ingress",
        endpoints=[
            Endpoint("POST", "/orders", routes.place, PLACE),
            Endpoint("PATCH", "/orders/{order_id}", routes.amend, AMEND),
            Endpoint("POST", "/orders/{order_id}/cancel", routes.cancel, CANCEL),
            Endpoint(
                "POST",
                "/orders/by-client-id/{symbol}/{client_order_id}/cancel",
                routes.cancel_by_client_id,
                CANCEL_BY_CLIENT_ID,
            ),
        ],
        router=router,
        operations=operations,
        start=start,
        stop=stop,
    )
