"""Sales from databases, by a real PostgreSQL server that the tests start, and by SQLite."""

import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from shelfcast.cli.main import main
from shelfcast.data.read import read_sales
from shelfcast.errors import DataError, SettingsError, SourceError

PASSWORD = "s3cret!wort"
ADDRESSED = "s3cret%21wort"  # as it stands in an address


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL server with a table of sales."""

    port: int

    def address(self, *, user: str = "ann", password: str = ADDRESSED, port: int | None = None, base: str = "shop") -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{port or self.port}/{base}"


def programs() -> Path | None:
    """The folder with initdb and pg_ctl, the newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]), reverse=True)
    on_path = shutil.which("initdb")
    return found[0].parent if found else Path(on_path).parent if on_path else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A cluster in a temporary folder on a loopback port, with one user who needs a password."""
    folder = programs()
    if folder is None:
        pytest.skip("needs PostgreSQL; on Debian `make system` brings it")
    as_owner: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        if shutil.which("runuser") is None or subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode:
            pytest.skip("PostgreSQL does not run as root, and there is no user `postgres` to run it as")
        as_owner = ["runuser", "-u", "postgres", "--"]
    # Not below pytest's own folder, which other users may not enter; short, for a socket's path may have some 100 characters.
    base = Path(tempfile.mkdtemp(prefix="shelfcast-pg-"))
    try:
        if as_owner:
            shutil.chown(base, "postgres")
        (base / "password").write_text(PASSWORD)
        os.chmod(base / "password", 0o644)
        port = free_port()

        def call(program: str, *arguments: str) -> None:
            done = subprocess.run([*as_owner, str(folder / program), *arguments], capture_output=True, text=True, check=False,
                                  cwd=base, timeout=60)
            assert done.returncode == 0, done.stderr + done.stdout

        call("initdb", "-D", str(base / "data"), "-U", "ann", "-A", "scram-sha-256", f"--pwfile={base / 'password'}", "-E", "UTF8",
             "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={base} -c fsync=off"
        call("pg_ctl", "-D", str(base / "data"), "-w", "-l", str(base / "log"), "-o", options, "start")
        try:
            made = Server(port)
            _fill(made)
            yield made
        finally:
            call("pg_ctl", "-D", str(base / "data"), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _fill(server: Server) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(server.address(base="postgres"), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop")
    with dbapi.connect(server.address()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE sales (item text, location integer, date date, sales numeric(12, 2), promo boolean)")
        cursor.execute("INSERT INTO sales SELECT 'tea' || i, k, date '2024-01-01' + t, 5 + (3 * t + i + k) % 9, t % 7 = 0 "
                       "FROM generate_series(0, 1) i, generate_series(1, 2) k, generate_series(0, 59) t")
        cursor.execute('CREATE TABLE "empty sales" (item text, date date, sales integer)')
        connection.commit()


def same_sales() -> pl.DataFrame:
    return pl.DataFrame([
        {"item": f"tea{i}", "location": k, "date": date(2024, 1, 1) + timedelta(days=t), "sales": 5.0 + (3 * t + i + k) % 9}
        for i in (0, 1) for k in (1, 2) for t in range(60)
    ])


def test_sales_come_from_a_real_server_with_the_types_they_have_there(server: Server) -> None:
    lines = read_sales(server.address(), query="SELECT *, promo AS display FROM sales", known=["display"])
    table = lines.frame.select("item", "location", "date", "sales", "display").collect().sort("item", "location", "date")
    assert table.schema["location"].is_integer() and table.schema["date"] == pl.Date and table.schema["display"] == pl.Boolean
    assert table.select("item", pl.col("location").cast(pl.Int64), "date", "sales").equals(same_sales())


def test_the_name_of_a_table_is_a_query_too(server: Server) -> None:
    assert read_sales(server.address(), query="sales").frame.collect().height == 240


def test_a_forecast_from_a_server_is_that_of_the_same_file(server: Server, tmp_path: Path) -> None:
    same_sales().write_parquet(tmp_path / "sales.parquet")
    flags = ["--horizon", "3", "--model", "naive", "--no-backtest", "--quiet", "--out"]
    query = "SELECT item, location, date, sales FROM sales"
    assert main(["forecast", server.address(), "--query", query, *flags, str(tmp_path / "a.csv")]) == 0
    assert main(["forecast", str(tmp_path / "sales.parquet"), *flags, str(tmp_path / "b.csv")]) == 0
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


def test_a_run_from_a_server_keeps_no_password(server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    code = main(["forecast", server.address(), "--query", "SELECT * FROM sales", "--horizon", "3", "--model", "naive",
                 "--no-backtest", "--run", str(run), "--json"])
    said = "".join(capfd.readouterr())
    assert code == 0
    for secret in (PASSWORD, ADDRESSED):
        assert secret not in said
        assert not [p.name for p in run.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]


BROKEN = {  # what is wrong: (address, query, exit code, what must be said)
    "password": (lambda s: s.address(password="wr0ng%21pass"), "SELECT * FROM sales", 2, "password authentication failed for user"),
    "user": (lambda s: s.address(user="nobody"), "SELECT * FROM sales", 2, "password authentication failed for user"),
    "host": (lambda s: f"postgresql://ann:{ADDRESSED}@no-such-host.invalid:5432/shop", "SELECT 1 AS a", 2, "no-such-host.invalid"),
    "port": (lambda s: s.address(port=1), "SELECT * FROM sales", 2, "(?i)connection refused"),
    "base": (lambda s: s.address(base="shopp"), "SELECT * FROM sales", 2, 'database "shopp" does not exist'),
    "table": (lambda s: s.address(), "SELECT * FROM sale", 2, 'relation "sale" does not exist'),
    "column": (lambda s: s.address(), "SELECT itm FROM sales", 2, 'column "itm" does not exist'),
    "syntax": (lambda s: s.address(), "SELEC * FROM sales", 2, "syntax error"),
    "rows": (lambda s: s.address(), "SELECT * FROM sales WHERE date > '2030-01-01'", 1, "no rows"),
    "empty table": (lambda s: s.address(), 'SELECT * FROM "empty sales"', 1, "no rows"),
    "no query": (lambda s: s.address(), None, 2, "A database address needs a query"),
    "twice": (lambda s: s.address(), "SELECT item, item, date, sales FROM sales", 1, "gives the column item twice"),
    "delete": (lambda s: s.address(), "DELETE FROM sales", 2, "cannot execute DELETE in a read-only transaction"),
    "drop": (lambda s: s.address(), "DROP TABLE sales", 2, "cannot execute DROP TABLE in a read-only transaction"),
    "hidden delete": (lambda s: s.address(), "WITH gone AS (DELETE FROM sales RETURNING *) SELECT * FROM gone", 2, "read-only"),
    "two statements": (lambda s: s.address(), "SELECT * FROM sales; DELETE FROM sales", 2, "multiple commands"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_with_a_database_is_said_without_the_password(what: str, server: Server, tmp_path: Path,
                                                                    capfd: pytest.CaptureFixture[str]) -> None:
    import re

    address, query, code, says = BROKEN[what]
    asked = [] if query is None else ["--query", query]
    out = tmp_path / "f.csv"
    got = main(["forecast", address(server), *asked, "--horizon", "3", "--model", "naive", "--no-backtest", "--out", str(out)])
    said = capfd.readouterr().err
    assert got == code and re.search(says, said), said
    assert PASSWORD not in said and ADDRESSED not in said and "wr0ng" not in said and "Traceback" not in said
    assert not out.exists()
    assert read_sales(server.address(), query="sales").frame.collect().height == 240, "reading never writes"


def test_the_postcard_reads_from_a_server_too(server: Server) -> None:
    with pytest.raises(SettingsError, match="needs a query"):
        read_sales(server.address())
    with pytest.raises(SourceError, match="does not exist"):
        read_sales(server.address(), query="SELECT * FROM nothing_here")


# -- SQLite -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A SQLite file with the same sales; dates are texts there."""
    pytest.importorskip("adbc_driver_sqlite")
    path = tmp_path / "shop.db"
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE sales (item TEXT, location INTEGER, date TEXT, sales REAL)")
    rows = [(r["item"], r["location"], str(r["date"]), r["sales"]) for r in same_sales().iter_rows(named=True)]
    base.executemany("INSERT INTO sales VALUES (?, ?, ?, ?)", rows)
    base.commit()
    base.close()
    return path


def test_sales_come_from_sqlite(shop: Path) -> None:
    lines = read_sales(f"sqlite:///{shop}", query="SELECT * FROM sales")
    table = lines.frame.select("item", "location", "date", "sales").collect().sort("item", "location", "date")
    assert table.equals(same_sales())


def test_a_relative_address_is_relative_to_here(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.parent)
    assert read_sales("sqlite:///shop.db", query="sales").frame.collect().height == 240


SQLITE_BROKEN = {
    "absent": ("sqlite:////nowhere/shop.db", "SELECT 1", 2, "There is no database file"),
    "memory": ("sqlite:///:memory:", "SELECT 1", 2, "There is no database file ':memory:'"),
    "table": ("sqlite:///shop.db", "SELECT * FROM sale", 2, "no such table: sale"),
    "syntax": ("sqlite:///shop.db", "SELEC * FROM sales", 2, "syntax error"),
    "rows": ("sqlite:///shop.db", "SELECT * FROM sales WHERE item = 'x'", 1, "no rows"),
    "delete": ("sqlite:///shop.db", "DELETE FROM sales", 2, "attempt to write a readonly database"),
    "no query": ("sqlite:///shop.db", None, 2, "A database address needs a query"),
    "text": ("sqlite:///text.db", "SELECT * FROM sales", 2, "(?i)not a database"),
}


@pytest.mark.parametrize("what", SQLITE_BROKEN)
def test_what_is_wrong_with_a_sqlite_file_is_said(what: str, shop: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capfd: pytest.CaptureFixture[str]) -> None:
    import re

    monkeypatch.chdir(shop.parent)
    Path("text.db").write_text("This is a letter and not a database, long enough for a header of one hundred bytes. " * 9)
    before = shop.read_bytes()
    address, query, code, says = SQLITE_BROKEN[what]
    got = main(["check", address, *([] if query is None else ["--query", query])])
    said = capfd.readouterr().err
    assert got == code and re.search(says, said), said
    assert "Traceback" not in said and shop.read_bytes() == before


def test_a_query_without_an_address_is_refused(shop: Path) -> None:
    with pytest.raises((SettingsError, SourceError, DataError), match="A query goes with a database address"):
        read_sales(same_sales(), query="SELECT 1")
