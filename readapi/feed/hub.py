"""The sessions and the channels of this process."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable

from protocol.broker_keys import Scope
from protocol.registry import Broker, Instrument
from readapi.feed.books import BookChannel
from readapi.feed.channel import Channel
from readapi.feed.messages import ALL_TICKERS, ORDERS, ChannelName, Kind
from readapi.feed.orders import OrdersChannel
from readapi.feed.outbox import Outbox
from readapi.feed.pump import Pump
from readapi.feed.session import Session
from readapi.feed.switches import Switches
from readapi.feed.tickers import TickerBoard, TickerChannel
from readapi.feed.trades import TradesChannel
from readapi.following import Following
from readapi.lists import ListRoutes
from readapi.market_history import MarketHistoryRoutes
from readapi.settings import ReadapiSettings
from runtime.http.context import Context
from runtime.http.problems import Problem, unauthorized
from runtime.http.sockets import LATER, RESTART, SocketRequest
from runtime.http.stocks import check_symbol, symbol_not_found
from runtime.process.promise import in_task

HISTORY_SECONDS = 0.25

SharedChannel = BookChannel | TradesChannel | TickerChannel

log = logging.getLogger(__name__)


class Hub:
    """``outbox`` has the sessions that have taken something that was not sent yet."""

    def __init__(
        self,
        context: Context,
        settings: ReadapiSettings,
        history: MarketHistoryRoutes,
        lists: ListRoutes,
        following: Following,
    ) -> None:
        self._context = context
        self._settings = settings
        self._sessions: dict[Session, None] = {}
        self._by_broker: Counter[str] = Counter()
        self._lists = lists
        self._following = following
        self._channels: dict[ChannelName, SharedChannel] = {}
        self.switches = Switches(context, settings.feed_hold_ms)
        self.outbox = Outbox(self._fail)
        self._pump = Pump(context, self.outbox, self._fail)
        self._board = TickerBoard(context, lambda page: history.answers(page, ""), self.outbox.send)
        self._history_id = context.genesis.history_id
        self._watching: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        self._context.decisions.follow(self._pump.hear)
        self._context.decisions.follow(self._board.hear)
        self.switches.start()
        self._watch_history()

    async def stop(self) -> None:
        self._pump.close()
        await self._board.close()
        if self._watching is not None:
            self._watching.cancel()
        await self.switches.stop()

    # Sessions.

    async def open(self, asked: SocketRequest) -> Session:
        """A session, before its upgrade. Raises a problem when it is refused."""
        self._require_room()
        broker = None
        if asked.authorization is not None:
            broker = await self._broker(asked)
            self._require_room()  # Others may have come meanwhile.
            self._require_room_of(broker)
        is_from_elsewhere = _is_from_elsewhere(asked)
        session = Session(self, asked, broker, is_from_elsewhere)
        self._sessions[session] = None
        self._count(broker, 1)
        return session

    async def authorize(self, session: Session, authorization: bytes) -> Broker | None:
        """The broker of a session that has sent its key. An empty key is for who only looks at the
        market, in development and from no page of another server."""
        if not authorization:
            if self._context.settings.is_development and not session.is_from_elsewhere:
                return None
            raise unauthorized("api key")
        broker = await self._broker(session.asked._replace(authorization=authorization))
        if session in self._sessions:
            self._require_room_of(broker)
            self._count(broker, 1)
        return broker

    def is_valid(self, session: Session) -> bool:
        """Whether the key of the session is still good."""
        authorization = session.authorization
        if not authorization:
            return True
        keyring = self._context.keyring
        return keyring.may_watch(authorization) or keyring.broker(authorization) == session.broker

    def forget(self, session: Session, channels: list[Channel]) -> None:
        """The session has ended."""
        self.leave(session, channels)
        self.switches.fire(session)
        if session in self._sessions:
            del self._sessions[session]
            self._count(session.broker, -1)

    async def require_trade(self, session: Session) -> None:
        """Refuse a session whose key may not cancel orders."""
        asked = session.asked._replace(authorization=session.authorization)
        await self._context.authenticate(asked, Scope.TRADE)

    async def _broker(self, asked: SocketRequest) -> Broker | None:
        if self._context.keyring.may_watch(asked.authorization):
            return None
        return await self._context.authenticate(asked, Scope.READ)

    def _require_room(self) -> None:
        if len(self._sessions) >= self._settings.feed_sessions_max:
            raise Problem("too_many_sessions", "this process has all the sessions that it can bear")

    def _require_room_of(self, broker: Broker | None) -> None:
        most = self._settings.feed_sessions_per_broker_max
        if broker is not None and self._by_broker[broker.broker_id] >= most:
            raise Problem("too_many_sessions", f"a broker has at most {most} sessions at a process")

    def _count(self, broker: Broker | None, more: int) -> None:
        if broker is not None:
            self._by_broker[broker.broker_id] += more
            if not self._by_broker[broker.broker_id]:
                del self._by_broker[broker.broker_id]

    # Channels.

    async def channel(self, name: ChannelName, session: Session) -> Channel:
        """A new channel for :meth:`join`. Raises a problem when the session cannot have it."""
        if name == ORDERS:
            return await in_task(self._orders(session))
        if name == ALL_TICKERS:
            await in_task(self._context.registry.refresh())
            return self._board.channel(name)
        instrument = await self._instrument(name.symbol)
        match name.kind:
            case Kind.BOOK:
                return BookChannel(name, instrument)
            case Kind.TRADES:
                return TradesChannel(name, instrument)
            case _:
                return self._board.channel(name)

    async def _orders(self, session: Session) -> OrdersChannel:
        if session.broker is None:
            raise Problem("unauthorized", "only a session with the key of a broker has orders")

        def failed(error: Exception) -> None:
            log.warning("a session's orders cannot be read", exc_info=error)
            session.end(Problem("unavailable", "your orders cannot be read; connect again"), LATER)

        return await OrdersChannel.open(
            session.broker.broker_id, self._following, self._lists, failed, self.outbox.send
        )

    async def _instrument(self, symbol: str) -> Instrument:
        """Raises a problem when the symbol is not listed."""
        check_symbol(symbol)
        instruments = self._context.directory.instruments
        if symbol not in instruments:
            await in_task(self._context.registry.refresh())
        if symbol not in instruments:
            raise symbol_not_found(symbol)
        return instruments[symbol]

    def join(self, session: Session, channel: Channel) -> Channel:
        """Subscribe the session; returns the channel that it has now. The first one of a name is
        for all sessions that follow the same, as long as one of them does."""
        if isinstance(channel, OrdersChannel):
            channel.join(session)
            channel.begin()
            return channel
        assert isinstance(channel, SharedChannel)
        shared = self._channels.setdefault(channel.name, channel)
        if shared is channel:
            self._keep_up(shared)
        shared.join(session)
        return shared

    def leave(self, session: Session, channels: Iterable[Channel]) -> None:
        """The session does not want these channels any more."""
        for channel in channels:
            channel.leave(session)
            if isinstance(channel, OrdersChannel):
                channel.close()
            elif not channel.readers and self._channels.get(channel.name) is channel:
                assert isinstance(channel, SharedChannel)
                del self._channels[channel.name]
                if isinstance(channel, TickerChannel):
                    self._board.remove(channel)
                else:
                    self._pump.remove(channel)

    def _keep_up(self, channel: SharedChannel) -> None:
        if isinstance(channel, TickerChannel):
            self._board.add(channel)
        else:
            self._pump.add(channel)

    # What ends all of them.

    def _watch_history(self) -> None:
        """The sequences of another history are other ones, so all clients must begin anew."""
        loop = asyncio.get_running_loop()
        self._watching = loop.call_later(HISTORY_SECONDS, self._watch_history)
        if self._context.genesis.history_id != self._history_id:
            self._history_id = self._context.genesis.history_id
            self._end_all(Problem("history_changed", "connect again; every sequence begins anew"))

    def _fail(self) -> None:
        self._end_all(Problem("internal_error", "connect again"))

    def _end_all(self, problem: Problem) -> None:
        for session in self._sessions:
            session.end(problem, RESTART)


def _is_from_elsewhere(asked: SocketRequest) -> bool:
    """Whether a page of another server has opened the connection. A browser says so itself."""
    origin, host = asked.header(b"origin"), asked.header(b"host")
    return origin is not None and origin.partition(b"://")[2] != host
