"""What OpenAPI says of the call for events. The example comes from the code that answers."""

from protocol.enums import Liquidity, OrderState, ReportType
from protocol.reports import Report, ReportBody
from protocol.units import PAGE_DEFAULT, PAGE_MAX, format_time
from readapi.events import EventsAnswer, events_answer, sequence_parameter
from readapi.following import too_many_readers
from readapi.parameters import Parameters
from readapi.reports import Page, Told, cursor_expired
from runtime.http import samples
from runtime.http.operations import Operation, Success, header_parameter, query_parameter, raised
from runtime.http.problems import unauthorized, unavailable

_SEQUENCE = {"type": "integer", "minimum": 0}
_ORDER = samples.ORDER
_REPORT = Report(
    samples.BROKER.broker_id,
    f"{samples.TRADE_ID}-{_ORDER.side.value}",
    ReportBody(
        sequence=0,
        type=ReportType.EXECUTED,
        timestamp=format_time(samples.FILL.executed_ms),
        order_id=_ORDER.order_id,
        client_order_id=samples.CLIENT_ORDER_ID,
        symbol=samples.SYMBOL,
        side=_ORDER.side,
        order_type=_ORDER.order_type,
        price=_ORDER.price,
        quantity=_ORDER.quantity,
        filled_quantity=_ORDER.filled_quantity,
        remaining_quantity=_ORDER.open_quantity,
        state=OrderState.PARTIALLY_FILLED,
        trade_id=samples.TRADE_ID,
        last_price=samples.FILL.price,
        last_quantity=samples.FILL.quantity,
        liquidity=Liquidity.TAKER,
    ),
)

EVENTS = Operation(
    operation_id="list_events",
    summary="Read the own execution reports",
    description="Everything that has happened to the own orders, each event once and in order."
    " Their `sequence` is dense: 1, 2, 3 … over all instruments. Keep the last one that you have"
    " worked off, and ask for what follows it. An event is told when it is stored, usually within"
    " a tenth of a second.\n\n"
    "With `Accept: text/event-stream` the answer goes on with what comes, as Server-Sent Events"
    " whose `id` is the `sequence`. Without `after` and without `Last-Event-ID` it begins with what"
    " comes from now on. It ends when the exchange stops; connect again with `Last-Event-ID`.",
    parameters=(
        {
            "name": "after",
            "in": "query",
            "description": "The sequence of the last event that you have. Without it the page"
            " begins with the first event that is kept.",
            "schema": _SEQUENCE,
        },
        query_parameter("limit", "How many events the page may have.", PAGE_DEFAULT, PAGE_MAX),
        header_parameter("Last-Event-ID", "As `after`, for the stream.", _SEQUENCE),
    ),
    answers={
        200: Success(
            "A page of events, oldest first.",
            EventsAnswer,
            events_answer(Page([Told(5, _REPORT.body(5))], 4, 5)),
        )
    },
    problems=(
        unauthorized("api key"),
        unavailable(),
        cursor_expired(1000, 4321),
        raised(sequence_parameter, Parameters(b"after=x", ("after",))),
        raised(Parameters(b"limit=0", ("limit",)).limit),
        too_many_readers(),
    ),
)
