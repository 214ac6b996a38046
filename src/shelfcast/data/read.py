"""From a source to SalesLines: open it, recognise its columns, type them; judge nothing.

    from shelfcast import read_sales
    lines = read_sales("train.csv", columns={"location": "Store", "date": "Date", "sales": "Sales"}, known=["Open"])

Stays lazy: only the columns' names, distinct days of text columns and bounded samples are looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import polars as pl

from shelfcast.data.columns.beside import find_covariates, find_places, find_static
from shelfcast.data.columns.dialects import Given, given_columns, invoice_column, names_of, recognise_dialect, recognise_roles
from shelfcast.data.columns.joined import are_parts, split_ids
from shelfcast.data.columns.parsing import NumberStyle, is_missing, parse_number, parse_share
from shelfcast.data.columns.typed import Purpose, typed_columns
from shelfcast.data.folders import Folder, open_folder
from shelfcast.data.formats.tables import Source, Table, every_sheet, open_table, unreadable
from shelfcast.data.lines import CANCELLED, PLACE, ROW, SERVICE, SalesLines, refuse_reserved
from shelfcast.data.sources.dialect import Dialect
from shelfcast.errors import DataError, SettingsError, UnknownNameError, shorten
from shelfcast.names import AVAILABLE, DATE, ITEM, KEYS, LOCATION, PRICE, PROMO, ROLES, SALES, STOCK, Absent, Kind
from shelfcast.periods import Frequency

_MEASURED: Final = (PRICE, PROMO, STOCK, AVAILABLE)
_SAMPLE: Final = 50_000  # lines looked at to tell transactions from series
_MISTAKES: Final = 10  # lines of a short file that may share their keys by mistake


@dataclass(frozen=True)
class _Beside:
    """What is to be joined to the sales; the user's own first."""

    covariates: Sequence[Source | Table]
    static: Sequence[Source | Table]
    places: Source | Table | None


@dataclass(frozen=True)
class _Sales:
    """The sales table, with its roles."""

    table: Table
    frame: pl.LazyFrame
    schema: Mapping[str, pl.DataType]
    dialect: Dialect | None
    given: Given
    columns: Mapping[str, str]
    told: tuple[str, ...]


def read_sales(source: Source, *, columns: Mapping[str, str] | None = None, freq: str | Frequency | None = None,
               covariates: Sequence[Source] = (), known: Sequence[str] = (), past: Sequence[str] = (),
               static: Source | Sequence[Source] | None = None, places: Source | None = None,
               query: str | None = None, absent: Absent | None = None) -> SalesLines:
    """Read sales and what lies beside them.

    Parameters
    ----------
    source : file, glob, folder, `-` for standard input, database address, or a frame of polars, pandas, pyarrow or DuckDB. A
        folder with the official files of a data set that is known (`folders.BUNDLES`) is read with all that belongs to it
    columns : {role: the source's column}, for roles item, location, date, sales, price, promo, stock, available; those not
        named are recognised. `Name:dmy`, `:mdy`, `:ymd` say how dates, and `:comma`, `:point` how numbers are written
    freq : D, W, M ...; None to infer
    covariates : tables of covariates, joined on whichever of item, location and date they have
    known, past : names of covariates whose future is given, or which are seen only up to the cutoff
    static : table of attributes by item or location, or several
    places : table of locations with latitude and longitude
    query : SQL or a table's name, with a database address
    absent : what a period without a row means: `zero` (nothing was sold) or `missing` (not known); None to see by the data

    Raises
    ------
    SourceError
        If a source cannot be opened.
    DataError
        If its columns cannot be understood.
    UnknownNameError
        If a named role, column or covariate does not exist.

    Examples
    --------
    >>> frame = pl.DataFrame({"store": [1, 1], "day": ["2024-03-01", "2024-03-02"], "units": ["3", "n/a"]})
    >>> lines = read_sales(frame)
    >>> lines.columns
    {'location': 'store', 'date': 'day', 'sales': 'units'}
    >>> lines.frame.select("location", "date", "sales", "sales as written").collect().rows()
    [(1, datetime.date(2024, 3, 1), 3.0, '3'), (1, datetime.date(2024, 3, 2), None, None)]
    """
    frequency = freq if isinstance(freq, Frequency) or freq is None else Frequency.parse(freq)
    if absent is not None and absent not in get_args(Absent):
        raise UnknownNameError("meaning of a period without a row", str(absent), get_args(Absent))
    declared = _declared(known, past)
    folder = open_folder(source) if query is None else None
    table = open_table(source, query=query) if folder is None else folder.sales
    try:
        sales = _understand(table, columns, frequency)
        beside = _Beside(_several(covariates), _several(static), places)
        if folder is not None:
            sales, declared, beside = _with_folder(folder.only(sales.given.columns), sales, declared, beside)
        return replace(_lines(sales, declared, frequency, beside), absent=absent)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise unreadable(table.name, error) from error


def _several(sources: Source | Sequence[Source] | None) -> list[Source | Table]:
    """One source or several as a list; a frame is one."""
    if sources is None:
        return []
    return list(sources) if isinstance(sources, (list, tuple)) else [sources]  # type: ignore[list-item]


def _with_folder(folder: Folder, sales: _Sales, declared: Mapping[str, Kind],
                 beside: _Beside) -> tuple[_Sales, dict[str, Kind], _Beside]:
    """Put what a folder holds behind what the user names."""
    own = {name.lower() for name in declared} | {c.lower() for c in sales.given.columns.values()}
    kinds = {n: k for n, k in folder.kinds(list(sales.schema)).items() if n.lower() not in own}
    places = folder.tables("places")
    # A place named by the user goes before the folder's, whose other columns still describe places.
    static = [*beside.static, *folder.tables("attributes"), *(places if beside.places is not None else [])]
    return (replace(sales, told=(*folder.told, *sales.told)), {**kinds, **declared},
            _Beside([*beside.covariates, *folder.tables("covariates")], static,
                    beside.places if beside.places is not None else places[0] if places else None))


def _declared(known: Sequence[str], past: Sequence[str]) -> dict[str, Kind]:
    for names, word in ((known, "known"), (past, "past")):
        if isinstance(names, str):
            raise SettingsError(f"{word} is a list of names; got the text {shorten(names)!r}.")
    both = [n for n in known if n in set(past)]
    if both:
        raise SettingsError(f"The covariate {shorten(both[0])!r} is named both known and past. It is known if its future is given.")
    return {**dict.fromkeys(known, "known"), **dict.fromkeys(past, "past")}


def _understand(table: Table, columns: Mapping[str, str] | None, freq: Frequency | None) -> _Sales:
    """Recognise the dialect, let it add its columns, and give each role a column."""
    dialect = recognise_dialect(table.frame.collect_schema())
    if dialect is not None and dialect.refuse is not None:
        if not {DATE, SALES} <= set(columns or ()):
            raise DataError(dialect.refuse)
        dialect = None
    if dialect is not None and dialect.sheets:
        table = every_sheet(table)
    frame = table.frame.with_row_index(PLACE)
    if dialect is not None and dialect.adapt is not None:
        frame = dialect.adapt(frame, names_of(table.frame.collect_schema()), freq)
    if dialect is not None and dialect.joined is not None and not {ITEM, LOCATION} & set(columns or ()):
        frame, dialect = split_ids(frame, dialect)
    schema = {c: t for c, t in frame.collect_schema().items() if c != PLACE}
    given = given_columns(columns, list(schema))
    if dialect is not None and dialect.styles:
        given = Given(given.columns, {**dialect.styles, **given.styles})
    found = recognise_roles(schema, given=given.columns, dialect=dialect, source=table.name, required=(DATE, SALES))
    ordered = {r: found.columns[r] for r in ROLES if r in found.columns}
    told = [*table.told, *found.told]
    for role in _MEASURED:
        if role in ordered and role not in given.columns and _in_words(frame, ordered[role], role):
            told.append(f"{shorten(ordered[role])} holds words, so it is not taken for the {role}.")
            del ordered[role]
    for role, word in ((ITEM, "item"), (LOCATION, "location")):
        if role not in ordered:
            told.append(f"No {word} column: all rows belong to the one {word} 'all'.")
    return _Sales(table, frame, schema, dialect, given, ordered, tuple(told))


def _in_words(frame: pl.LazyFrame, column: str, role: str) -> bool:
    """Whether a column that is called like a number holds none (a promo column with the names of promotions)."""
    if frame.collect_schema()[column] != pl.String:
        return False
    parse = parse_share if role in (PROMO, AVAILABLE) else parse_number
    texts = frame.select(column).filter(~is_missing(column)).head(_SAMPLE).collect()
    return texts.height > 0 and texts.select(parse(column, NumberStyle()).is_null().all()).item() and texts.select(
        parse(column, NumberStyle(",")).is_null().all()).item()


def _lines(sales: _Sales, declared: dict[str, Kind], freq: Frequency | None, others: _Beside) -> SalesLines:
    in_sales, own = _own_covariates(sales, declared)
    wanted: dict[str, tuple[str, Purpose]] = {}
    for role, column in sales.columns.items():
        wanted[role] = (column, "key" if role in KEYS else "date" if role == DATE else "number")
    wanted |= {name: (name, "value") for name in own if name not in wanted}
    typed = typed_columns(sales.frame, wanted, untyped=sales.table.untyped, styles=sales.given.styles,
                          raw=sales.table.frame)
    marks = () if sales.dialect is None else ((CANCELLED, sales.dialect.cancelled), (SERVICE, sales.dialect.service))
    extra = [mark(names_of(sales.schema)).alias(name) for name, mark in marks if mark is not None]
    rows = sales.frame
    if sales.table.untyped:  # a blank line is no sale; its place in the file is kept in the row numbers
        rows = rows.filter(pl.any_horizontal(pl.col(c).is_not_null() for c in sales.columns.values()))
    frame = rows.select(pl.col(PLACE).alias(ROW), *typed.columns, *extra)
    final = frame.collect_schema()
    keys = {k: final[k] for k in KEYS if k in final}
    who = _keys_alone(sales, typed.columns, frame)
    beside = find_covariates(others.covariates, declared=declared, found=in_sales, sales_columns=sales.columns, given=sales.given,
                             keys=keys, sales_name=sales.table.name, sales_names=list(sales.schema), freq=freq, lines=who)
    kinds: dict[str, Kind] = {}
    for name, kind in declared.items():
        kinds[beside.called.get(name) or in_sales[name]] = kind
    for role in (*(r for r in _MEASURED if r in sales.columns), *beside.measured):
        kinds.setdefault(role, "past")
    shape, why = _shape(frame, sales)
    renamed = [f"{shorten(n)} is called {r} from here on." for n, r in in_sales.items() if r in _MEASURED and n != r]
    told = [*sales.told, *renamed, *typed.told, *beside.told, why]
    items, places_table, more = find_static(others.static, sales_columns=sales.columns, given=sales.given, keys=keys, lines=who)
    told += more
    if others.places is not None:
        places_table, more = find_places(others.places, places_table, sales_columns=sales.columns, given=sales.given, keys=keys,
                                         lines=who)
        told += more
    document = _document(sales, shape)
    used = {c for c, _ in wanted.values()}
    if are_parts(used) and sales.dialect is not None and sales.dialect.joined is not None:
        used.add(names_of(sales.schema)[sales.dialect.joined])
    written = set(sales.table.frame.collect_schema())
    left = tuple(c for c in sales.schema if c not in used and c in written)
    if left:
        told.append(f"Not used: {', '.join(shorten(c, 30) or '(no name)' for c in left[:12])}{' ...' if len(left) > 12 else ''}. "
                    f"To use one, name it with --known or --past.")
    return SalesLines(frame=frame, source=sales.table.name, files=sales.table.files,
                      first_line=sales.table.first_line if sales.table.files == 1 else None, shape=shape,
                      dialect=sales.dialect.name if sales.dialect else None,
                      dialect_absent=sales.dialect.absent if sales.dialect else None, columns=dict(sales.columns), covariates=kinds,
                      tables=beside.tables, items=items, places=places_table, freq=freq, told=tuple(told), left_out=left,
                      document=document, written=None if document is None else sales.table.frame.with_row_index(PLACE))


def _keys_alone(sales: _Sales, typed: Sequence[pl.Expr], frame: pl.LazyFrame) -> pl.LazyFrame:
    """The items and places of the sales: from the source as it is where it has them, for a row may be two thousand days there."""
    columns = {role: c for role, c in sales.columns.items() if role in KEYS}
    if not columns or not set(columns.values()) <= set(sales.table.frame.collect_schema()):
        return frame
    return sales.table.frame.select(e for e in typed if e.meta.output_name() in columns)


def _document(sales: _Sales, shape: str) -> str | None:
    """The column that numbers invoices or receipts; with it, all that the source says of a line tells a copy from a second sale."""
    schema = sales.table.frame.collect_schema()
    if shape != "transactions" or any(t.is_nested() or t == pl.Object for t in schema.dtypes()):
        return None
    return invoice_column(schema)


def _own_covariates(sales: _Sales, declared: Mapping[str, Kind]) -> tuple[dict[str, str], list[str]]:
    """Declared names that the sales table has: {as declared: our name}, and those which need a column of their own."""
    by_column = {c: r for r, c in sales.columns.items()}
    low = names_of(sales.schema)
    found, own = {}, []
    for name in declared:
        column = name if name in sales.schema else low.get(name.lower())
        if name in _MEASURED and name in sales.columns:
            found[name] = name
        elif column in by_column:
            role = by_column[column]
            if role not in _MEASURED:
                raise SettingsError(f"{shorten(name)!r} is the {role} column; it cannot be a covariate too.")
            found[name] = role
        elif column is not None:
            refuse_reserved(column)
            found[name] = column
            own.append(column)
    return found, own


def _shape(frame: pl.LazyFrame, sales: _Sales) -> tuple[Literal["transactions", "series"], str]:
    """Whether lines are to be added up, and why."""
    if sales.dialect is not None and sales.dialect.shape is not None:
        if sales.dialect.shape == "transactions":
            return "transactions", "Lines are transactions: those of one item, location and period are added up."
        return "series", "Each row is the sales of one item, location and period."
    invoice = invoice_column(sales.schema)
    if invoice is not None:
        return "transactions", (f"Lines are transactions, for there is an invoice column ({shorten(invoice, 40)}): those of one "
                                f"item, location and period are added up.")
    keys = [c for c in (*KEYS, DATE) if c in sales.columns]
    sample = frame.select(keys).head(_SAMPLE).drop_nulls().collect()
    repeated = int(sample.is_duplicated().sum()) if sample.height else 0
    # A few are mistakes, for check to find, also when the file is short; a habit is what transactions look like.
    if repeated > max(min(_MISTAKES, sample.height // 5), sample.height // 50):
        return "transactions", (f"Lines are transactions, for {repeated:,} of the first {sample.height:,} share item, location and "
                                f"date: they are added up.")
    if sample.schema[DATE] == pl.Datetime and bool((sample[DATE].dt.truncate("1h") != sample[DATE]).any()):
        return "transactions", "Lines are transactions, for they carry times of day: those of one period are added up."
    return "series", "Each row is the sales of one item, location and period."


