"""``exchange up``: the whole exchange on this machine, supervised."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import httpx
from rich.console import Console
from rich.table import Table

from exchange.local.cluster import EmbeddedCluster, refuse_other_kind
from exchange.local.health import HealthWatch
from exchange.local.installation import Addresses, Installation
from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis, socket_dir
from exchange.local.supervisor import Child, Supervisor
from runtime.process.asking import HEALTH_SUFFIX
from runtime.process.calendars import trading_calendar
from runtime.process.errors import ExchangeError
from runtime.process.settings import Settings, load

WATCH_SECONDS = 0.1
READY_SECONDS_MAX = 60.0


class PortTaken(ExchangeError):
    """Another program listens on the port."""


class Stopped(Exception):
    """SIGINT or SIGTERM arrived during the start."""


class StopSignal:
    """Notes SIGINT and SIGTERM. While the exchange starts they raise :class:`Stopped`, so that
    nobody waits for the end of the start. Later they only set ``arrived``: an exception that comes
    in the middle of anything could leave a lock of ``subprocess`` held for ever."""

    def __init__(self) -> None:
        self.arrived = False
        self._raises = True
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.arrived = True
        if self._raises:
            raise Stopped

    def only_note(self) -> None:
        self._raises = False


def up(data: Path, port: int, matchers: int, ingress: int, host: str, redis_nodes: int) -> None:
    """Run until Ctrl-C or SIGTERM. Raises :class:`ExchangeError` when that is not possible."""
    console = Console()
    environment = {"EXCHANGE_ENV": "development", **os.environ}
    installation = Installation(data)
    installation.lock()
    _check_port(host, port)
    scheme = "https" if load(Settings, environment).tls_cert_file else "http"
    servers, cluster, addresses = _plan(
        installation, environment, f"{scheme}://{host}:{port}", redis_nodes
    )
    environment |= _variables(addresses, host, port)
    names = _names(matchers, ingress, calendars=1 if _has_calendar(environment) else 0)
    supervisor = Supervisor(servers)
    stop_signal = StopSignal()
    try:
        with console.status("starting Redis and PostgreSQL"):
            for server in servers:
                server.start()
            if cluster is not None:
                cluster.form()
        with console.status("bringing the database to the newest schema"):
            _migrate(environment)
        _add_children(supervisor, installation, addresses, environment, names)
        with console.status("waiting until orders can be taken"):
            _wait_until_ready(supervisor, addresses, console)
        installation.publish(addresses)
        _show(console, supervisor, installation, addresses)
        stop_signal.only_note()
        while not stop_signal.arrived:
            _watch(supervisor, console)
            time.sleep(WATCH_SECONDS)
    except Stopped:
        pass
    finally:
        _stop(console, supervisor, installation, addresses)
    console.print("stopped; the data stay in", installation.data)


def _plan(
    installation: Installation, environment: Mapping[str, str], url: str, redis_nodes: int
) -> tuple[list[EmbeddedRedis | EmbeddedPostgres], EmbeddedCluster | None, Addresses]:
    """The embedded servers that are needed, for those that no variable names, the cluster that some
    of them form, and all addresses."""
    settings = load(Settings, environment)
    servers: list[EmbeddedRedis | EmbeddedPostgres] = []
    cluster: EmbeddedCluster | None = None
    redis_url, database_url = settings.redis_url, settings.database_url
    if not environment.get("EXCHANGE_REDIS_URL"):
        refuse_other_kind(installation.data, redis_nodes)
        if redis_nodes > 1:
            cluster = EmbeddedCluster(installation.data, redis_nodes)
            servers += cluster.nodes
            redis_url = cluster.url
        else:
            redis = EmbeddedRedis(installation.data)
            servers.append(redis)
            redis_url = redis.url
    elif redis_nodes > 1:
        raise ExchangeError(
            "--redis-nodes starts Redis, and EXCHANGE_REDIS_URL names one that runs"
        )
    if not database_url:
        postgres = EmbeddedPostgres(installation.data)
        servers.append(postgres)
        database_url = postgres.url
    return (
        servers,
        cluster,
        Addresses(
            url=url,
            redis_url=redis_url,
            database_url=database_url,
            admin_key=settings.admin_key or installation.admin_key(),
            health_sockets=str(socket_dir(installation.data)),
        ),
    )


def _stop(
    console: Console, supervisor: Supervisor, installation: Installation, addresses: Addresses
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    installation.withdraw()
    with console.status("stopping"):
        supervisor.stop()
    for left_behind in Path(addresses.health_sockets).glob(f"*{HEALTH_SUFFIX}"):
        left_behind.unlink(missing_ok=True)


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(f"port {port} of {host}: {error.strerror}; choose --port") from error


def _variables(addresses: Addresses, host: str, port: int) -> dict[str, str]:
    """What tells the workers, which are processes of their own, where everything is."""
    return {
        "EXCHANGE_REDIS_URL": addresses.redis_url,
        "EXCHANGE_DATABASE_URL": addresses.database_url,
        "EXCHANGE_ADMIN_KEY": addresses.admin_key,
        "EXCHANGE_HOST": host,
        "EXCHANGE_PORT": str(port),
    }


def _migrate(environment: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own command.
        _command("migrate"), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ExchangeError(f"the migration failed:\n{done.stderr[-2000:]}")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "exchange", *arguments]


def _has_calendar(environment: Mapping[str, str]) -> bool:
    """Whether the day opens and closes by the clock; refuses settings that cannot be used."""
    return trading_calendar(load(Settings, environment)) is not None


def _names(matchers: int, ingress: int, calendars: int) -> list[tuple[str, str]]:
    """Kind and name of every worker, in the order of their start."""
    counts = {"matcher": matchers, "persister": 1, "notifier": 1, "http": ingress}
    counts["calendar"] = calendars
    return [(k, f"{k}-{number}") for k, count in counts.items() for number in range(1, count + 1)]


def _add_children(
    supervisor: Supervisor,
    installation: Installation,
    addresses: Addresses,
    environment: Mapping[str, str],
    names: list[tuple[str, str]],
) -> None:
    for kind, name in names:
        health_socket = str(Path(addresses.health_sockets) / f"{name}{HEALTH_SUFFIX}")
        own = {"EXCHANGE_INSTANCE": name, "EXCHANGE_HEALTH_SOCKET": health_socket}
        supervisor.add(
            Child(
                name,
                _command("run", kind),
                {**environment, **own},
                installation.logs / f"{name}.log",
                HealthWatch(health_socket, any_answer=kind == "http"),
            )
        )


def _watch(supervisor: Supervisor, console: Console) -> None:
    for line in supervisor.watch():
        console.print(time.strftime("%H:%M:%S"), line, highlight=False)


def _wait_until_ready(supervisor: Supervisor, addresses: Addresses, console: Console) -> None:
    """Orders can be taken, and every worker has answered once.

    An HTTP process is asked on its Unix socket, where it needs no certificate; it listens there
    after it listens on its port.
    """
    deadline = time.monotonic() + READY_SECONDS_MAX
    socket_path = str(Path(addresses.health_sockets) / f"http-1{HEALTH_SUFFIX}")
    transport = httpx.HTTPTransport(uds=socket_path)
    with httpx.Client(trust_env=False, timeout=2.0, transport=transport) as client:
        while time.monotonic() < deadline:
            _watch(supervisor, console)
            try:
                ready = client.get("http://http-1/health/ready").status_code == httpx.codes.OK
                if ready and all(child.has_answered for child in supervisor.children):
                    return
            except httpx.TransportError:
                pass  # Not listening yet: that is what we are waiting for.
            time.sleep(WATCH_SECONDS)
    silent = [child.name for child in supervisor.children if not child.has_answered]
    raise ExchangeError(f"{', '.join(silent) or addresses.url} does not answer; see the logs")


def _show(
    console: Console, supervisor: Supervisor, installation: Installation, addresses: Addresses
) -> None:
    table = Table(title="the exchange is up", title_justify="left")
    table.add_column("process")
    table.add_column("pid", justify="right")
    table.add_column("where", overflow="fold")
    for server in supervisor.servers:
        table.add_row(server.name, str(server.pid), server.shown)
    for child in supervisor.children:
        where = addresses.url if child.name.startswith("http") else ""
        table.add_row(child.name, str(child.pid), where)
    console.print(table)
    console.print(f"orders and reads  {addresses.url}")
    console.print(f"documentation     {addresses.url}/docs")
    console.print(f"admin key         {addresses.admin_key}", soft_wrap=True)
    console.print(f"logs and data     {installation.data}", soft_wrap=True)
    console.print("Ctrl-C stops it and keeps the data; try `make demo` in another terminal.")
