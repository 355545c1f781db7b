"""What OpenAPI says of the calls for many orders: batches, mass cancels, the dead-man switch."""

import msgspec

from ingress.batches import batch_answer, item_problem
from ingress.bodies import (
    BATCH_BYTES_MAX,
    BatchAnswer,
    BatchBody,
    BatchItem,
    CancelAfterAnswer,
    CancelAfterBody,
    CancelAllBody,
    CancelBatchBody,
    MassCancelAnswer,
    RawBatch,
)
from ingress.documentation import (
    ACCEPTED,
    INVALID_PRICE,
    LIMIT_ORDER,
    MARKET_ORDER,
    NOT_KEPT,
    RETURN,
    WAIT,
)
from ingress.intake import decode
from ingress.mass_routes import cancel_after_answer, mass_cancel_answer
from runtime.http import samples
from runtime.http.operations import Operation, Success, raised
from runtime.http.orders import order_not_found
from runtime.http.problems import unauthorized, unavailable

PLACE_BATCH = Operation(
    operation_id="place_orders",
    summary="Place many orders",
    description="Each order is answered as `place_order` would answer it alone, in the order of the"
    " request; one that is refused harms no other. `Prefer: wait=2` holds for all of them. After"
    " a 503 of an item the rules of the status 503 hold for this item.",
    parameters=(WAIT,),
    body=BatchBody,
    body_bytes_max=BATCH_BYTES_MAX,
    body_examples={"two orders": {"orders": [LIMIT_ORDER, MARKET_ORDER]}},
    answers={
        200: Success(
            "What became of each order.",
            BatchAnswer,
            batch_answer(
                [
                    BatchItem(
                        201,
                        order=msgspec.Raw(ACCEPTED),
                    ),
                    BatchItem(422, problem=item_problem(INVALID_PRICE, "#/orders/1")),
                ]
            ),
            ("Preference-Applied",),
        )
    },
    problems=(
        unauthorized("api key"),
        raised(decode, msgspec.json.Decoder(RawBatch), b"orders"),
        raised(decode, msgspec.json.Decoder(RawBatch), b'{"orders":[]}'),
        raised(decode, msgspec.json.Decoder(RawBatch), b"{}"),
        raised(decode, msgspec.json.Decoder(RawBatch), b'{"ordens":[]}'),
        unavailable(),
    ),
)

CANCEL_BATCH = Operation(
    operation_id="cancel_orders",
    summary="Cancel many orders",
    description="Each cancel is answered as `cancel_order` would answer it alone.",
    parameters=(RETURN,),
    body=CancelBatchBody,
    body_examples={"one order": {"order_ids": [samples.ORDER_ID]}},
    answers={
        200: Success(
            "What became of each cancel.",
            BatchAnswer,
            batch_answer(
                [
                    BatchItem(204),
                    BatchItem(404, problem=item_problem(order_not_found(), "#/order_ids/1")),
                ]
            ),
            ("Preference-Applied",),
        )
    },
    problems=(
        unauthorized("api key"),
        raised(decode, msgspec.json.Decoder(CancelBatchBody), b"order_ids"),
        raised(decode, msgspec.json.Decoder(CancelBatchBody), b'{"order_ids":[]}'),
        raised(decode, msgspec.json.Decoder(CancelBatchBody), b"{}"),
        raised(decode, msgspec.json.Decoder(CancelBatchBody), b'{"ids":[]}'),
        unavailable(),
    ),
)

_MASS_CANCEL_ID = "5d0c8f5e-6b1f-4c39-9a0e-2f7d3b9e4a61"
_ALL = msgspec.json.Decoder(CancelAllBody)
_AFTER = msgspec.json.Decoder(CancelAfterBody)

CANCEL_ALL = Operation(
    operation_id="cancel_all_orders",
    summary="Cancel all orders",
    description="All orders of the broker, or those that have the `symbol`, the `side` and the"
    " `document_number` that are named. Every order is reached that was acknowledged before this"
    " request was sent. To name the symbol is cheaper: otherwise the cancel goes to every symbol.",
    body=CancelAllBody,
    body_examples={"one side of a symbol": {"symbol": samples.SYMBOL, "side": "bid"}, "all": {}},
    answers={
        202: Success(
            "The cancel is in the log of each symbol, on disk, and will be carried out.",
            MassCancelAnswer,
            mass_cancel_answer(_MASS_CANCEL_ID),
        )
    },
    problems=(
        unauthorized("api key"),
        raised(decode, _ALL, b""),
        raised(decode, _ALL, b'{"side":"buy"}'),
        raised(decode, _ALL, b'{"symbols":[]}'),
        *NOT_KEPT,
    ),
)

CANCEL_AFTER = Operation(
    operation_id="cancel_all_orders_after",
    summary="Arm the dead-man switch",
    description="When the switch is not armed again within `timeout_seconds`, all orders of the"
    " broker are canceled, once, with the reason `cancel_timer`. Each call begins anew; 0 takes the"
    " switch away. Orders that are placed afterwards are not canceled.",
    body=CancelAfterBody,
    body_examples={"arm it": {"timeout_seconds": 60}, "take it away": {"timeout_seconds": 0}},
    answers={
        200: Success(
            "The switch as it is now; it is kept on disk.",
            CancelAfterAnswer,
            cancel_after_answer(60, samples.TIME_MS + 60_000, _MASS_CANCEL_ID),
        )
    },
    problems=(
        unauthorized("api key"),
        raised(decode, _AFTER, b""),
        raised(decode, _AFTER, b'{"timeout_seconds":-1}'),
        raised(decode, _AFTER, b"{}"),
        raised(decode, _AFTER, b'{"timeout":60}'),
        unavailable(),
    ),
)
