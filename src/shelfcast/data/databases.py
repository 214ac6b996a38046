"""Tables from PostgreSQL and SQLite, by ADBC: columns all the way, no loop over rows."""

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import polars as pl

from shelfcast.data.spool import new_copy
from shelfcast.errors import DataError, MissingExtraError, SettingsError, SourceError, shorten

_SCHEMES: Final = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite"}


def is_address(text: str) -> bool:
    """Whether a source is a database address."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text))


def masked(address: str) -> str:
    """The address without its password, for messages and logs.

    >>> masked("postgresql://ann:secret@host/shop?password=secret&sslmode=require")
    'postgresql://ann:***@host/shop?password=***&sslmode=require'
    """
    hidden = re.sub(r"(://[^:/?#@]*):.*@", r"\1:***@", address)
    return re.sub(r"(?i)((?:password|passfile|sslpassword)=)[^&\s]*", r"\1***", hidden)


def open_database(address: str, query: str | None) -> tuple[pl.LazyFrame, str]:
    """The result of a query, kept as a temporary Parquet file so that memory stays small, and its name.

    Parameters
    ----------
    address : postgresql://user:password@host:port/database, or sqlite:///path/to/file.db
    query : SQL, or the name of a table
    """
    name = masked(address)
    scheme = address.partition("://")[0].lower()
    if scheme not in _SCHEMES:
        raise SourceError(f"{shorten(name)} cannot be read. Known addresses: postgresql://user@host/database and sqlite:///file.db; "
                          f"download files first.")
    if not query or not query.strip():
        raise SettingsError(f"A database address needs a query: {name} --query 'SELECT * FROM sales'")
    statement = query if re.search(r"\s", query.strip()) else f"SELECT * FROM {_quoted(query.strip())}"
    connect, target = _driver(_SCHEMES[scheme], address)
    try:
        return _fetch(connect, target, statement, name), name
    except (DataError, SourceError):
        raise
    except Exception as error:  # the drivers' errors share no base with ours; the message is what helps
        raise SourceError(f"{name} could not be queried: {_without_secret(str(error), address)}") from None


def _quoted(table: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in table.split("."))


def _driver(kind: str, address: str) -> tuple[Any, str]:
    """The driver's connect function and what it is called with."""
    try:
        import pyarrow  # noqa: F401  the drivers give Arrow batches through it
        if kind == "postgresql":
            from adbc_driver_postgresql import dbapi as postgresql
            return postgresql.connect, address
        from adbc_driver_sqlite import dbapi as sqlite
    except ImportError as error:
        raise MissingExtraError("Reading from a database", "database", f"adbc-driver-{kind}") from error
    path = address.partition("://")[2]
    path = unquote(path.partition("?")[0])
    path = path[1:] if path.startswith("/") else path  # sqlite:///relative, sqlite:////absolute
    if path == ":memory:" or not Path(path).is_file():
        raise SourceError(f"There is no database file {shorten(path)!r}. Write sqlite:///relative.db or sqlite:////absolute.db")
    return sqlite.connect, path


def _fetch(connect: Any, target: str, statement: str, name: str) -> pl.LazyFrame:
    """Batches of the result into one temporary Parquet file."""
    import pyarrow.parquet as pq

    copy = new_copy(".parquet")
    with connect(target) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        reader = cursor.fetch_record_batch()
        repeated = sorted({c for c in reader.schema.names if reader.schema.names.count(c) > 1})
        if repeated:
            raise DataError(f"The query to {name} gives the column {', '.join(map(shorten, repeated[:5]))} twice. Name each once.")
        with pq.ParquetWriter(copy, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
    return pl.scan_parquet(copy, hive_partitioning=False)


def _without_secret(message: str, address: str) -> str:
    secrets = {urlsplit(address).password or "", *re.findall(r"(?i)password=([^&\s]+)", address)} - {""}
    for secret in secrets | {unquote(s) for s in secrets}:
        message = message.replace(secret, "***")
    return shorten(masked(message), 400)
