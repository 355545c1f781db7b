"""Ingress as a service: what it offers and how it is put together."""

import asyncio

from fastapi import APIRouter

from ingress.admin_documentation import (
    ADD_KEY,
    AUDIT,
    CANCEL_ALL_OF_BROKER,
    GET_LIMITS,
    ISSUE_KEY,
    LIST_KEYS,
    REGISTER,
    RESET,
    REVOKE_KEY,
    REVOKE_KEYS,
    SET_LIMITS,
)
from ingress.appender import Appender
from ingress.audit import AuditTrail
from ingress.audit_routes import audit_router
from ingress.batch_documentation import CANCEL_AFTER, CANCEL_ALL, CANCEL_BATCH, PLACE_BATCH
from ingress.batches import BatchRoutes
from ingress.bodies import BATCH_BYTES_MAX
from ingress.broadcast import Broadcast
from ingress.broker_keys import broker_keys_router
from ingress.brokers import brokers_router
from ingress.controls import BrokerControls
from ingress.debug import debug_router
from ingress.documentation import (
    AMEND,
    CANCEL,
    CANCEL_BY_CLIENT_ID,
    PLACE,
    VALIDATE,
)
from ingress.instrument_documentation import BUST_TRADE, SET_STATUS, SET_STOCK
from ingress.instruments import instruments_router
from ingress.mass_cancels import MassCancels
from ingress.mass_routes import MassRoutes
from ingress.operator import operator_router
from ingress.pressure import Pressure
from ingress.routes import OrderRoutes
from ingress.settings import IngressSettings
from ingress.timers import CancelTimers
from ingress.webhook_documentation import OPERATIONS as WEBHOOK_OPERATIONS
from ingress.webhooks import webhooks_router
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
    broadcast = Broadcast(context, appender)
    controls = BrokerControls(context, broadcast)
    wait_seconds = settings.decision_wait_ms / 1000
    routes = OrderRoutes(context, appender, channel, pressure, controls, wait_seconds)
    batches = BatchRoutes(context, routes)
    mass_cancels = MassCancels(broadcast)
    switches = AsyncChannel(
        settings.redis_url, f"timers-{settings.instance}", on_connect=context.follow_history
    )
    timers = CancelTimers(context, switches, mass_cancels)
    mass = MassRoutes(context, mass_cancels, timers, pressure)
    watching: set[asyncio.Task[None]] = set()

    async def start() -> None:
        for work in (pressure.watch(), timers.watch()):
            task = asyncio.create_task(work)
            context.depends_on(task)
            watching.add(task)

    async def stop() -> None:
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)  # However they ended.
        await gauge.close()
        await switches.close()
        await appender.close()
        await channel.close()

    trail = AuditTrail(context, channel)
    router = APIRouter()
    router.include_router(audit_router(context, channel))
    router.include_router(brokers_router(context, channel, trail))
    router.include_router(broker_keys_router(context, channel, trail))
    router.include_router(operator_router(context, channel, controls, mass_cancels, trail))
    decision_seconds = settings.decision_wait_ms / 1000
    router.include_router(instruments_router(context, channel, appender, decision_seconds, trail))
    router.include_router(webhooks_router(context, channel))
    operations = WEBHOOK_OPERATIONS | {
        ("POST", "/register"): REGISTER,
        ("POST", "/admin/brokers/{broker_id}/api-key"): ISSUE_KEY,
        ("DELETE", "/admin/brokers/{broker_id}/api-key"): REVOKE_KEYS,
        ("POST", "/admin/brokers/{broker_id}/keys"): ADD_KEY,
        ("GET", "/admin/brokers/{broker_id}/keys"): LIST_KEYS,
        ("DELETE", "/admin/brokers/{broker_id}/keys/{key_id}"): REVOKE_KEY,
        ("GET", "/admin/audit"): AUDIT,
        ("PUT", "/admin/brokers/{broker_id}/limits"): SET_LIMITS,
        ("GET", "/admin/brokers/{broker_id}/limits"): GET_LIMITS,
        ("POST", "/admin/brokers/{broker_id}/cancel-all"): CANCEL_ALL_OF_BROKER,
        ("PUT", "/admin/stocks/{symbol}"): SET_STOCK,
        ("PUT", "/admin/stocks/{symbol}/status"): SET_STATUS,
        ("POST", "/admin/trades/{trade_id}/bust"): BUST_TRADE,
    }
    if context.settings.is_development:
        router.include_router(debug_router(context, controls, trail))
        operations["POST", "/debug/reset"] = RESET
    return Service(
        name="ingress",
        endpoints=[
            Endpoint("POST", "/orders", routes.place, PLACE),
            Endpoint("POST", "/orders/validate", routes.validate, VALIDATE),
            Endpoint("POST", "/orders/batch", batches.place, PLACE_BATCH, BATCH_BYTES_MAX),
            Endpoint("DELETE", "/orders", batches.cancel, CANCEL_BATCH),
            Endpoint("POST", "/orders/cancel-all", mass.cancel_all, CANCEL_ALL),
            Endpoint("POST", "/orders/cancel-all-after", mass.cancel_after, CANCEL_AFTER),
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
