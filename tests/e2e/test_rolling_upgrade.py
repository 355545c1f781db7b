"""The earlier release and this one on one log, forth and back, as docs/how-to/upgrade.md says."""

from pathlib import Path

import psutil
import psycopg
import pytest

from tests.faults.load import BrokersAtWork
from tests.faults.oracles import judge
from tests.support.eventually import eventually
from tests.support.releases import ROOT, MixedFleet, run_of, unpack_earlier

KINDS = {"notifier": 1, "persister": 1, "matcher": 2, "http": 2}
SEED = 1
ORDERS_BETWEEN = 40


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_earlier(tmp_path_factory.mktemp("earlier"))


def of_kind(kind: str) -> list[str]:
    return [f"{kind}-{number}" for number in range(1, KINDS[kind] + 1)]


def trade_on(load: BrokersAtWork) -> None:
    """Until more orders were acknowledged, so that every mixture has really traded."""
    wanted = len(load.acknowledged()) + ORDERS_BETWEEN
    eventually(lambda: len(load.acknowledged()) >= wanted, 20, "orders to be acknowledged")


def replace_all(fleet: MixedFleet, load: BrokersAtWork, kind: str, source: Path) -> None:
    for name in of_kind(kind):
        fleet.replace(name, source)
        assert uses(fleet, name, source)
        trade_on(load)


def uses(fleet: MixedFleet, name: str, source: Path) -> bool:
    """What the process was told to run, from the process itself."""
    return psutil.Process(fleet.pid(name)).environ().get("PYTHONPATH") == str(source)


def schema(fleet: MixedFleet) -> str:
    with psycopg.connect(fleet.postgres.url) as connection:
        ((revision,),) = connection.execute("SELECT version_num FROM alembic_version")
        return str(revision)


def test_the_two_releases_are_not_the_same(earlier: Path) -> None:
    where = "import exchange; print(exchange.__file__)"
    for source in (earlier, ROOT):
        assert Path(run_of(source, "-c", where).strip()).is_relative_to(source)


@pytest.mark.timeout(300)
def test_every_worker_is_replaced_under_load_and_nothing_is_lost(earlier: Path) -> None:
    with MixedFleet(earlier, KINDS) as fleet, BrokersAtWork(fleet, SEED, pace=0.04) as load:
        trade_on(load)
        before = schema(fleet)
        # Forth: who reads comes before who writes. The persisters stop while the schema changes.
        replace_all(fleet, load, "notifier", ROOT)
        for name in of_kind("persister"):
            fleet.stop_one(name)
        trade_on(load)
        fleet.migrate(ROOT)
        replace_all(fleet, load, "persister", ROOT)
        replace_all(fleet, load, "matcher", ROOT)
        replace_all(fleet, load, "http", ROOT)
        # And back: who writes before who reads. A persister goes back only to the same schema.
        replace_all(fleet, load, "http", earlier)
        replace_all(fleet, load, "matcher", earlier)
        if schema(fleet) == before:
            replace_all(fleet, load, "persister", earlier)
        replace_all(fleet, load, "notifier", earlier)
        verdict = judge(load)
        assert fleet.refused == {}
    assert verdict.problems == []
    assert verdict.passed
    assert verdict.acknowledged > 15 * ORDERS_BETWEEN
    assert verdict.trades > 0
    assert not [answer for answer in load.answers if answer.startswith("5")], load.answers
    # There was always somebody who listened.
    assert load.answers.get("connect", 0) == 0, load.answers
