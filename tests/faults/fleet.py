"""Every process of an exchange, on real servers, to be killed and frozen by its pid."""

import contextlib
import errno
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import httpx
import psutil

from exchange.local.health import HealthWatch
from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis
from exchange.local.supervisor import Child, WorkerRefused
from exchange.migrate import upgrade
from protocol import keys
from protocol.partitions import PARTITIONS_DEFAULT, all_partitions
from runtime.redis.channel import Channel, RedisError
from runtime.redis.state import HTTP_KINDS
from tests.faults import sometimes
from tests.faults.disk import Disk, DiskPostgres, DiskRedis
from tests.support.eventually import eventually
from tests.support.running import bearer, clean_environment, free_port

WATCH_SECONDS = 0.02
KINDS = {"matcher": 1, "persister": 1, "notifier": 1, "http": 1}
SERVERS = ("redis", "postgres")


class Batches(NamedTuple):
    """Over all partitions."""

    committed: int
    stored: int

    @property
    def unstored(self) -> int:
        return self.committed - self.stored


class Fleet:
    """Workers are started again when they die, as a supervisor does; servers only when told.
    ``disk_mib`` gives a server a small disk of its own, and ``with_disks`` puts the disks of both
    servers into the hands of the test (``tests/faults/disk.py``). ``with_health`` ends a worker
    that hangs, as ``exchange up`` does."""

    source: ClassVar[Path | None] = None
    """Where workers have their code from, if it is not the source itself (``planted.py``)."""
    refusals: ClassVar[list[str]] = []
    """What workers of all fleets said when they refused to run."""

    def __init__(
        self,
        kinds: Mapping[str, int] | None = None,
        per_worker: Mapping[str, Mapping[str, str]] | None = None,
        redis_binary: Path | None = None,
        disk_mib: Mapping[str, int] | None = None,
        with_disks: bool = False,
        with_health: bool = False,
        **variables: str,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="xf-"))
        self.folder.chmod(0o755)  # PostgreSQL may run as another user.
        self.redis = (DiskRedis if with_disks else EmbeddedRedis)(self.folder, redis_binary)
        self.postgres = (DiskPostgres if with_disks else EmbeddedPostgres)(self.folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_key = f"ak_{secrets.token_hex(16)}"
        self.refused: dict[str, str] = {}
        self._disk_mib = dict(disk_mib or {})
        self._kinds = dict(kinds or KINDS)
        self._per_worker = {name: dict(v) for name, v in (per_worker or {}).items()}
        self._with_health = with_health
        self._variables = variables
        self._children: dict[str, Child] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> "Fleet":
        for server, size in self._disk_mib.items():
            _mount(self.folder / server, size)
        try:
            self.redis.start()
            self.postgres.start()
            upgrade(self.postgres.url)
            self.start_workers()
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.stop_workers()
        self.postgres.stop()
        self.redis.stop()
        for path in self.folder.glob("*-[0-9].log"):
            sometimes.note_log(path.read_text(errors="replace"))
        for server in self._disk_mib:
            subprocess.run(["umount", str(self.folder / server)], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def fill_disk(self, server: str, left: int = 0) -> Path:
        """Fill a server's disk but for ``left`` bytes with a file, which the caller removes."""
        filler = self.folder / server / "filler"
        size = shutil.disk_usage(filler.parent).free - left
        try:
            filler.write_bytes(b"x" * size)
        except OSError as error:  # The server was quicker with the rest.
            if error.errno != errno.ENOSPC:
                raise
        return filler

    @property
    def names(self) -> list[str]:
        return [f"{kind}-{n}" for kind, count in self._kinds.items() for n in range(1, count + 1)]

    def start_workers(self) -> None:
        for name in self.names:
            self.start(name)
        self._stop.clear()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def start(self, name: str, instance: str | None = None, **variables: str) -> None:
        """Start a worker ``kind-number``; ``instance`` lets it pass for another."""
        kind = name.split("-")[0]
        socket_path = str(self.folder / f"{name}.health")
        if self._with_health:
            variables["EXCHANGE_HEALTH_SOCKET"] = socket_path
        environment = clean_environment(
            **{
                "EXCHANGE_REDIS_URL": self.redis.url,
                "EXCHANGE_DATABASE_URL": self.postgres.url,
                "EXCHANGE_ADMIN_KEY": self.admin_key,
                "EXCHANGE_ENV": "development",
                "EXCHANGE_INSTANCE": instance or name,
                "EXCHANGE_PORT": str(self.port),
                **self._code(),
                **self._variables,
                **self._per_worker.get(name, {}),
                **variables,
            }
        )
        command = [sys.executable, "-m", "exchange", "run", kind]
        health = HealthWatch(socket_path, kind in HTTP_KINDS) if self._with_health else None
        child = Child(name, command, environment, self.folder / f"{name}.log", health)
        with self._lock:
            old = self._children.pop(name, None)
            if old is not None:
                old.ask_to_stop()
                old.wait()
            child.start()
            self._children[name] = child

    def _code(self) -> dict[str, str]:
        if self.source is None:
            return {}
        return {"PYTHONPATH": str(self.source), "PYTHONSAFEPATH": "1"}

    def remove(self, name: str) -> None:
        """SIGKILL a worker that is not to come back until :meth:`start`."""
        with self._lock:
            child = self._children.pop(name)
            if child.pid is not None:
                os.kill(child.pid, signal.SIGKILL)
            child.wait()

    def disk(self, server: str) -> Disk:
        """Of a fleet that was made with disks."""
        found = self.redis if server == "redis" else self.postgres
        assert isinstance(found, DiskRedis | DiskPostgres)
        return found.disk

    def cut_power(self, draw: random.Random) -> tuple[int, int]:
        """Everything dies at once, what is not synced is gone, and everything starts again. Returns
        the bytes that Redis has lost and the writes that PostgreSQL has lost."""
        with self._lock:  # Nobody is started again before the servers are back.
            pids = [child.pid for child in self._children.values() if child.pid is not None]
            pids += [*_family(self.redis.pid), *_family(self.postgres.pid)]
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            eventually(lambda: not any(map(_is_running, pids)), 10, "everything to be dead")
            self.redis.kill()
            self.postgres.kill()
            lost = self.disk("redis").cut_lengths(draw), self.disk("postgres").cut_writes(draw)
            self.redis.start()
            self.postgres.start()
            return lost

    def stop_workers(self) -> None:
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        for child in self._children.values():
            child.ask_to_stop()
        for child in self._children.values():
            child.wait()
        self._children.clear()

    def _watch(self) -> None:
        while not self._stop.wait(WATCH_SECONDS):
            with self._lock:
                for name, child in list(self._children.items()):
                    try:
                        child.watch()
                    except WorkerRefused as error:
                        self.refused[name] = str(error)
                        self.refusals.append(str(error))
                        del self._children[name]

    def wait_ready(self) -> None:
        with httpx.Client(trust_env=False, timeout=2) as client:

            def ready() -> bool:
                assert not self.refused, self.refused
                try:
                    return client.get(f"{self.url}/health/ready").status_code == 200
                except httpx.TransportError:
                    return False

            eventually(ready, 60, "the fleet to be ready")

    def wait_refused(self, name: str) -> str:
        """The words with which a worker refused to run."""
        eventually(lambda: name in self.refused, 30, f"{name} to refuse")
        return self.refused[name]

    def restarts(self, name: str) -> int:
        return self._children[name].restarts

    def pid(self, name: str) -> int:
        def look() -> int | None:
            with self._lock:
                return self._children[name].pid

        pid = eventually(look, 30, f"{name} to run")
        assert pid is not None
        return pid

    def kill(self, name: str) -> None:
        """SIGKILL; a server comes back at once."""
        if name == "redis":
            self.redis.kill()
            self.redis.start()
        elif name == "postgres":
            self.postgres.kill()
            self.postgres.start()
        else:
            self.signal(name, signal.SIGKILL)

    def signal(self, name: str, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # Just dead; the watcher starts it again.
            os.kill(self.pid(name), number)

    def freeze(self, name: str) -> None:
        self._signal_any(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._signal_any(name, signal.SIGCONT)

    def _signal_any(self, name: str, number: int) -> None:
        if name == "redis":
            os.kill(self.redis.pid, number)
        elif name == "postgres":
            # Its sessions are processes of their own.
            for pid in _family(self.postgres.pid):
                with contextlib.suppress(ProcessLookupError):  # A session that has just ended.
                    os.kill(pid, number)
        else:
            self.signal(name, number)

    def channel(self) -> Channel:
        return Channel(self.redis.url, "faults")

    def batches(self) -> Batches:
        numbers = [("HGET", keys.batch(p), "number") for p in all_partitions(PARTITIONS_DEFAULT)]
        marks = [("GET", keys.stored(p)) for p in all_partitions(PARTITIONS_DEFAULT)]
        channel = self.channel()
        try:
            committed, stored = channel.pipeline(numbers), channel.pipeline(marks)
        finally:
            channel.close()
        return Batches(sum(int(n or 0) for n in committed), sum(int(n or 0) for n in stored))

    def register(self, name: str, webhook_url: str | None = None) -> dict[str, str]:
        body = {"name": name} | ({"webhook_url": webhook_url} if webhook_url else {})
        answer = httpx.post(
            f"{self.url}/register",
            json=body,
            headers=bearer(self.admin_key),
            trust_env=False,
            timeout=10,
        )
        assert answer.status_code == 201, answer.text
        content: dict[str, str] = answer.json()
        return content

    def memory_mib(self) -> dict[str, float]:
        """Resident memory by process, and what Redis says it uses."""
        found = {
            name: psutil.Process(self.pid(name)).memory_info().rss / 2**20 for name in self.names
        }
        channel = self.channel()
        try:
            text = channel.execute("INFO", "memory").decode()
            values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
            found["redis"] = int(values["used_memory"]) / 2**20
        except RedisError:
            found["redis"] = 0.0
        finally:
            channel.close()
        return found


def _mount(place: Path, size_mib: int) -> None:
    place.mkdir()
    options = f"size={size_mib}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)


def _family(pid: int) -> list[int]:
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pause(seconds: float) -> None:
    """Let a fault last; nothing is waited for."""
    time.sleep(seconds)
