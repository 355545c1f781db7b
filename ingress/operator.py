"""What the operator sets for a broker, and cancels on his behalf; behind the admin key."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from ingress.audit import AuditTrail
from ingress.brokers import write_registry
from ingress.controls import BrokerControls
from ingress.mass_cancels import MassCancels
from ingress.mass_routes import mass_cancel_answer
from ingress.refusals import broker_not_found
from protocol.commands import MassCancel
from protocol.enums import StateReason
from protocol.registry import BrokerLimitsSet
from protocol.units import PRICE_MAX, QUANTITY_MAX
from runtime.http.context import Context
from runtime.http.problems import field_problem
from runtime.process.promise import begin
from runtime.redis.channel import AsyncChannel

COUNT_MAX = 1_000_000
COLLAR_MAX = 1_000_000

Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]


class LimitsBody(BaseModel):
    """What a broker may do. 0 is no limit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    is_enabled: Annotated[
        bool, Field(description="False is the kill switch: orders are refused, cancels pass.")
    ] = True
    open_orders_max: Annotated[
        int, Field(ge=0, le=COUNT_MAX, description="Orders that are open in one symbol.")
    ] = 0
    order_quantity_max: Annotated[
        int, Field(ge=0, le=QUANTITY_MAX, description="Shares of one order.")
    ] = 0
    order_notional_max: Annotated[
        int,
        Field(
            ge=0,
            le=PRICE_MAX * QUANTITY_MAX,
            description="Price times quantity of one order, in cents.",
        ),
    ] = 0
    price_collar_basis_points: Annotated[
        int,
        Field(
            ge=0,
            le=COLLAR_MAX,
            description="How far the price of an order may be from the last trade, in 1/100 %.",
        ),
    ] = 0
    orders_per_second: Annotated[
        Count, Field(description="Orders and amendments to one HTTP process.")
    ] = 0
    cancels_per_second: Annotated[
        Count, Field(description="Cancels to one HTTP process; at least `orders_per_second`.")
    ] = 0
    reads_per_second: Annotated[Count, Field(description="Reads from one HTTP process.")] = 0


class LimitsAnswer(LimitsBody):
    """The limits of a broker as they are now."""

    broker_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]


def operator_router(
    context: Context,
    channel: AsyncChannel,
    controls: BrokerControls,
    mass_cancels: MassCancels,
    trail: AuditTrail,
) -> APIRouter:
    router = APIRouter(
        prefix="/admin/brokers/{broker_id}",
        dependencies=[Depends(context.require_admin)],
        route_class=trail.route_class,
    )

    async def require_broker(broker_id: str) -> None:
        await context.registry.refresh()
        if broker_id not in context.directory.brokers:
            raise broker_not_found()

    @router.put("/limits")
    async def set_limits(broker_id: str, body: LimitsBody) -> LimitsAnswer:
        """Set the limits of a broker (admin key)."""
        await require_broker(broker_id)
        if 0 < body.cancels_per_second < body.orders_per_second:
            raise field_problem(
                "cancels_per_second", "invalid_field", "it is 0 or at least orders_per_second"
            )
        rules = BrokerLimitsSet(broker_id, **body.model_dump())
        await write_registry(context, channel, [rules])
        await begin(controls.tell_all(broker_id)).future()
        return _limits(context, broker_id)

    @router.get("/limits")
    async def get_limits(broker_id: str) -> LimitsAnswer:
        """Read the limits of a broker (admin key)."""
        await require_broker(broker_id)
        return _limits(context, broker_id)

    @router.post("/cancel-all", status_code=202)
    async def cancel_all(broker_id: str) -> Response:
        """Cancel all orders of a broker (admin key)."""
        await require_broker(broker_id)
        cancel = MassCancel(str(uuid.uuid4()), broker_id, reason=StateReason.OPERATOR)
        await begin(mass_cancels.append(cancel)).future()
        answer = mass_cancel_answer(cancel.mass_cancel_id)
        return Response(answer, 202, media_type="application/json")

    return router


def _limits(context: Context, broker_id: str) -> LimitsAnswer:
    known = context.directory.limits.get(broker_id)
    if known is None:
        return LimitsAnswer(broker_id=broker_id)
    rules = known.rules
    values = {name: getattr(rules, name) for name in rules.__struct_fields__}
    return LimitsAnswer(**values)
