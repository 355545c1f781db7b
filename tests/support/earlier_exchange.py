"""An exchange that an earlier version founded, traded on and left, byte for byte.

``earlier_exchange.json`` was written by the code of commit 57c469b, the last one before books of
snapshots and changes, holdings, and instructions of orders. ``redis`` has the commands that make
its keys, with bytes as Latin-1 text; ``postgres`` has the rows of each table of schema 0004, as
COPY writes them. Leases and heartbeats are left out, because they had ended.

In PETR4 the last version had matched 10 entries. PostgreSQL has the first 9 of them, and the log
has three more that nobody has read. In VALE3 everything is matched and stored.
"""

import json
from pathlib import Path

import psycopg
from alembic import command

from exchange.migrate import alembic_config, upgrade
from runtime.redis.channel import Channel

SCHEMA = "0004"
LEFT = json.loads(Path(__file__).with_suffix(".json").read_text())


def leave_in_redis(channel: Channel) -> None:
    """Replace everything in Redis by what the earlier version left."""
    channel.execute("FLUSHALL")
    channel.all_ok([tuple(part.encode("latin-1") for part in line) for line in LEFT["redis"]])


def leave_in_postgres(database_url: str) -> None:
    """Fill an empty database with the earlier schema and its rows, and migrate it to today's."""
    command.downgrade(alembic_config(database_url), SCHEMA)
    tables: dict[str, list[str]] = LEFT["postgres"]
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")  # In any order of the tables.
        for table, rows in tables.items():
            with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                copy.write("".join(f"{row}\n" for row in rows))
    upgrade(database_url)
