"""What the server's processes cost, when they run on this machine."""

import time
from dataclasses import dataclass

import psutil

IDLE_CORES = 0.25
IDLE_LOOK_SECONDS = 0.5
IDLE_SECONDS_MAX = 20.0


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """CPU seconds so far and memory now."""

    name: str
    cpu_seconds: float
    rss_bytes: int


def server_roots(port: int) -> list[psutil.Process]:
    """The process that listens on ``port``, or its supervisor; and the PostgreSQL that ``exchange
    compare`` runs beside it. Their families are the server."""
    for process in psutil.process_iter():
        try:
            listens = any(
                c.status == psutil.CONN_LISTEN and c.laddr.port == port
                for c in process.net_connections(kind="tcp")
            )
            if listens:
                return _roots(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return []


def _roots(process: psutil.Process) -> list[psutil.Process]:
    parent = process.parent()
    root = parent if parent is not None and "up" in parent.cmdline() else process
    starter = root.parent()
    siblings = starter.children() if starter is not None else []
    return [root, *(s for s in siblings if s.pid != root.pid and "postgres" in s.cmdline())]


def use(roots: list[psutil.Process]) -> dict[int, ProcessUse]:
    """What each process of the roots' families has used so far."""
    found = {}
    for root in roots:
        try:
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for process in family:
            try:
                times = process.cpu_times()
                found[process.pid] = ProcessUse(
                    _name(process), times.user + times.system, process.memory_info().rss
                )
            except psutil.NoSuchProcess:
                continue
    return found


def wait_until_idle(roots: list[psutil.Process]) -> None:
    """Return once the server takes less than ``IDLE_CORES``, so that what it still does for the
    orders of before the opening is not charged to the load; at the latest after
    ``IDLE_SECONDS_MAX``."""
    deadline = time.monotonic() + IDLE_SECONDS_MAX
    before = use(roots)
    while roots and time.monotonic() < deadline:
        time.sleep(IDLE_LOOK_SECONDS)
        after = use(roots)
        spent = sum(
            now.cpu_seconds - before[pid].cpu_seconds for pid, now in after.items() if pid in before
        )
        if spent < IDLE_CORES * IDLE_LOOK_SECONDS:
            return
        before = after


def _name(process: psutil.Process) -> str:
    """``matcher-1`` for a worker, else the name of the program."""
    try:
        instance = process.environ().get("EXCHANGE_INSTANCE")
    except psutil.AccessDenied:
        instance = None
    if instance and "run" in process.cmdline():
        return instance
    return process.name()


def costs(
    before: dict[int, ProcessUse], after: dict[int, ProcessUse], requests: int, seconds: float
) -> list[dict[str, object]]:
    """Per process name: CPU per request, share of a core, memory at the end."""
    rows: dict[str, list[float]] = {}
    for pid, now in after.items():
        earlier = before.get(pid)
        spent = now.cpu_seconds - (earlier.cpu_seconds if earlier else 0.0)
        row = rows.setdefault(now.name, [0.0, 0.0])
        row[0] += spent
        row[1] += now.rss_bytes
    return [
        {
            "process": name,
            "cpu_microseconds_per_request": round(spent / max(1, requests) * 1e6, 1),
            "cores": round(spent / seconds, 3),
            "rss_mib": round(memory / 2**20, 1),
        }
        for name, (spent, memory) in sorted(rows.items(), key=lambda row: -row[1][0])
    ]
