"""Tables from PostgreSQL and SQLite, by ADBC: columns all the way, no loop over rows.

Nothing is ever written: SQLite files are opened read-only, PostgreSQL is asked within a transaction that is read-only.
"""

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import polars as pl

from shelfcast.data.formats.spool import new_copy
from shelfcast.errors import DataError, MissingExtraError, SettingsError, SourceError, masked, shorten

_SCHEMES: Final = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite"}


def is_address(text: str) -> bool:
    """Whether a source is a database address."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text))


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
        raise SourceError(f"{shorten(name)} cannot be read. Known addresses: postgresql://user@host/database and "
                          f"sqlite:///file.db. Download files first.")
    if not query or not query.strip():
        raise SettingsError(f"A database address needs a query: {name} --query 'SELECT * FROM sales'")
    statement = query if re.search(r"\s", query.strip()) else f"SELECT * FROM {_quoted(query.strip())}"
    kind = _SCHEMES[scheme]
    connect, target = _driver(kind, address)
    try:
        return _fetch(connect, target, statement, name, first="SET TRANSACTION READ ONLY" if kind == "postgresql" else None), name
    except (DataError, SettingsError, SourceError):
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
    return sqlite.connect, f"file:{quote(path)}?mode=ro"


def _fetch(connect: Any, target: str, statement: str, name: str, *, first: str | None) -> pl.LazyFrame:
    """Batches of the result into one temporary Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    copy = new_copy(".parquet")
    with connect(target) as connection, connection.cursor() as cursor:
        if first is not None:
            cursor.execute(first)
        cursor.execute(statement)
        reader = cursor.fetch_record_batch()
        repeated = sorted({c for c in reader.schema.names if reader.schema.names.count(c) > 1})
        if repeated:
            raise DataError(f"The query to {name} gives the column {', '.join(map(shorten, repeated[:5]))} twice. Name each once.")
        if not reader.schema.names:
            raise SettingsError(f"The query to {name} gives no columns. Only queries that read are meant: SELECT ...")
        schema = pa.schema([(field.name, _plain(field.type)) for field in reader.schema])
        with pq.ParquetWriter(copy, schema, compression="zstd") as writer:
            for batch in reader:
                columns = [_storage(column).cast(kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
                writer.write_batch(pa.record_batch(columns, schema=schema))
    return pl.scan_parquet(copy, hive_partitioning=False)


def _plain(kind: Any) -> Any:
    """The Arrow type that a column is kept in.

    The PostgreSQL driver hands over types that Arrow lacks as texts with a label; NUMERIC, the usual type of quantities and money,
    is one of them.
    """
    import pyarrow as pa

    if not isinstance(kind, pa.BaseExtensionType):
        return kind
    return pa.float64() if getattr(kind, "type_name", "") == "numeric" else kind.storage_type


def _storage(column: Any) -> Any:
    """The values of an Arrow array without the label of their type."""
    return getattr(column, "storage", column)


def _without_secret(message: str, address: str) -> str:
    secrets = {urlsplit(address).password or "", *re.findall(r"(?i)password=([^&\s]+)", address)} - {""}
    written = re.search(r"://[^:/?#]*:(.*)@", address)
    if written:  # a password that holds an @ is cut there by the driver, which then tells the rest as the host's name
        secrets |= {written[1], *written[1].split("@")} - {""}
    for secret in sorted(secrets | {unquote(s) for s in secrets}, key=len, reverse=True):
        message = message.replace(secret, "***")
    return shorten(masked(message), 400)
