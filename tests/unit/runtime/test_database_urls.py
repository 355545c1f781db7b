"""What SQLAlchemy hands to psycopg is what libpq would read in the same URL."""

from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from runtime.postgres.tables import sqlalchemy_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@a:1/db",
        "postgresql://u@/db?host=/tmp/sockets",
        "postgresql://u:p%40x@a:1,b:2/db?target_session_attrs=read-write",
        "postgresql://u@%2Ftmp%2Fa:5432,%2Ftmp%2Fb:5433/db",
        "postgresql://[::1]:5,[::2]:6/db?connect_timeout=2",
        "postgres://u@a:1,b:2/db",
        "postgresql://u@/db?host=/tmp/a,/tmp/b&port=5432,5433",
    ],
)
def test_a_url_means_the_same(url: str) -> None:
    read = make_url(sqlalchemy_url(url))
    assert read.drivername == "postgresql+psycopg"
    dialect: Any = PGDialect_psycopg()  # type: ignore[no-untyped-call]
    _, given = dialect.create_connect_args(read)
    found = {name: str(value) for name, value in given.items() if name != "context"}
    expected = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    assert found == expected
