"""Rows of the fault matrix: PostgreSQL."""

import shutil
import time
from pathlib import Path

from protocol import keys
from tests.faults.fleet import Fleet, pause
from tests.faults.oracles import judge
from tests.faults.row import MAY_MOUNT, Budget, Row, seconds_to_recover, skipped, trading
from tests.support.eventually import eventually


def postgres_away(seed: int, budget: Budget) -> Row:
    """PostgreSQL killed and gone, then frozen: trading goes on, and all of it is stored later."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        at = time.monotonic()
        fleet.postgres.kill()
        recovered = [seconds_to_recover(load, at)]
        pause(budget.postgres_away_seconds)
        fleet.postgres.start()
        pause(1)
        at = time.monotonic()
        fleet.freeze("postgres")
        recovered.append(seconds_to_recover(load, at))
        pause(min(10.0, budget.postgres_away_seconds))
        fleet.thaw("postgres")
        away = f"{budget.postgres_away_seconds:g}"
        return Row(f"PostgreSQL killed {away} s, then frozen", seed, judge(load), 2, recovered)


def postgres_disk_full(seed: int, budget: Budget) -> Row:
    """The disk of PostgreSQL is full: trading goes on, and all of it is stored when there is room,
    after a start of PostgreSQL if that has ended."""
    fault = "disk of PostgreSQL full"
    if not MAY_MOUNT:
        return skipped(fault, seed)
    with Fleet(disk_mib={"postgres": 128}) as fleet, trading(fleet, seed) as load:
        filler = fleet.fill_disk("postgres")
        at = time.monotonic()
        recovered = [seconds_to_recover(load, at)]
        before = fleet.batches().stored
        pause(budget.postgres_away_seconds / 4)
        batches = fleet.batches()
        filler.unlink()
        ended = not fleet.postgres.running
        if ended:
            fleet.postgres.start()
        restarts = fleet.restarts("persister-1")
        note = (
            f"{batches.stored - before} batches stored meanwhile, {batches.unstored} waited,"
            f" {restarts} starts of the persister"
        )
        note += ", PostgreSQL had ended" * ended
        return Row(fault, seed, judge(load), 1, recovered, note)


def older_postgres(seed: int, budget: Budget) -> Row:
    """PostgreSQL comes back as an older copy: what Redis still has is stored again."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        copy = fleet.folder / "copy"
        # Nothing is notified from here on, so that no event is trimmed.
        fleet.freeze("notifier-1")
        eventually(lambda: _stored_as_notified(fleet), 20, "what is notified to be stored")
        fleet.postgres.stop()
        shutil.copytree(fleet.folder / "postgres", copy, symlinks=True)
        _own_as(fleet.folder / "postgres", copy)
        fleet.postgres.start()
        pause(3)
        fleet.postgres.stop()
        shutil.rmtree(fleet.folder / "postgres")
        copy.rename(fleet.folder / "postgres")
        at = time.monotonic()
        fleet.postgres.start()
        fleet.thaw("notifier-1")
        recovered = [seconds_to_recover(load, at)]
        return Row("PostgreSQL restored from an older copy", seed, judge(load), 1, recovered)


def _stored_as_notified(fleet: Fleet) -> bool:
    """Whether the copy to be made holds all that may be trimmed later."""
    channel = fleet.channel()
    try:
        marks = [
            channel.pipeline([("GET", keys.stored(p)), ("GET", keys.notified(p))])
            for p in range(16)
        ]
        return all(int(stored or 0) >= int(notified or 0) for stored, notified in marks)
    finally:
        channel.close()


def _own_as(original: Path, copy: Path) -> None:
    """Give a copied tree the owners of the original."""
    for path in (original, *original.rglob("*")):
        status = path.lstat()
        twin = copy / path.relative_to(original)
        if twin.exists():
            shutil.chown(twin, status.st_uid, status.st_gid)
