"""What lies beside the sales: covariate tables, attributes of items and places, coordinates.

Their keys are recognised as in the sales, without regard to case, and take the types that the keys have there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from shelfcast.data.columns.dialects import COMPANIONS, KNOWN, Given, names_of, recognise_dialect, recognise_roles
from shelfcast.data.columns.joined import are_parts, split_ids
from shelfcast.data.columns.typed import Purpose, like_keys, typed_columns
from shelfcast.data.formats.tables import Source, Table, open_table
from shelfcast.data.lines import Covariates, SalesLines, refuse_reserved
from shelfcast.data.sources.dialect import Dialect
from shelfcast.errors import DataError, UnknownNameError, shorten
from shelfcast.names import AVAILABLE, DATE, ITEM, KEYS, LATITUDE, LOCATION, LONGITUDE, PRICE, PROMO, ROLES, SALES, STOCK, Kind
from shelfcast.periods import Frequency

_MEASURED: Final = (PRICE, PROMO, STOCK, AVAILABLE)
_SAMPLE: Final = 50_000  # lines of the sales in which the keys of another table are looked for first


@dataclass
class Beside:
    """Covariate tables.

    Attributes
    ----------
    called : {name as declared: the name it has in the tables}
    measured : roles (price, promo, stock, available) that a table has
    """

    tables: tuple[Covariates, ...] = ()
    called: dict[str, str] = field(default_factory=dict)
    measured: tuple[str, ...] = ()
    told: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Side:
    """One opened table beside the sales."""

    table: Table
    frame: pl.LazyFrame
    schema: Mapping[str, pl.DataType]
    roles: Mapping[str, str]
    told: tuple[str, ...]
    narrowed: bool  # holds the keys of the sales alone


def find_covariates(sources: Sequence[Source | Table], *, declared: Mapping[str, Kind], found: Mapping[str, str],
                    sales_columns: Mapping[str, str], given: Given, keys: Mapping[str, pl.DataType], sales_name: str,
                    sales_names: Sequence[str], freq: Frequency | None, lines: pl.LazyFrame) -> Beside:
    """Open covariate tables and take the declared covariates from them.

    Parameters
    ----------
    declared : {name: kind}
    found : {declared name: our name} of those that the sales table has
    sales_columns : {role: column} of the sales
    keys : types of item and location in the sales
    lines : the sales, to pass over the keys of a long table that no sales have
    """
    out = Beside()
    looked = [sales_name]
    every: list[str] = list(sales_names)
    tables = []
    for source in sources:
        side = _open_side(source, sales_columns, given, freq, (*KEYS, DATE, *_MEASURED), lines)
        looked.append(side.table.name)
        every += [c for c in side.schema if c not in every]
        wanted = _wanted(side, declared, found, out)
        axes = [r for r in (*KEYS, DATE) if r in side.roles and (r == DATE or r in keys)]
        if not axes:
            raise DataError(f"{side.table.name} has none of the columns item, location, date, so it cannot be joined with the "
                            f"sales. Its columns: {', '.join(shorten(c, 30) for c in list(side.schema)[:12])}.")
        if not wanted:
            free = [c for c in side.schema if c not in side.roles.values()]
            if not free:
                raise DataError(f"{side.table.name} has keys alone ({', '.join(axes)}), and no column that could be a covariate.")
            out.told.append(f"Nothing of {side.table.name} is used. To use a column, name it with --known or --past: "
                            f"{', '.join(shorten(c, 30) for c in free[:12])}.")
            continue
        purposes: dict[str, tuple[str, Purpose]] = {a: (side.roles[a], "date" if a == DATE else "key") for a in axes}
        purposes |= {n: (c, "number" if n in _MEASURED else "value") for n, c in wanted.items()}
        typed = typed_columns(side.frame, purposes, untyped=side.table.untyped, styles=given.styles, texts=False,
                              raw=side.table.frame)
        frame = like_keys(side.frame.select(typed.columns), keys, [a for a in axes if a != DATE])
        if not side.narrowed:
            _must_meet(frame, lines, [a for a in axes if a != DATE], side.table.name)
        tables.append(Covariates(frame, side.table.name))
        listed = ", ".join(shorten(n, 30) for n in wanted)
        out.told += [*side.told, *typed.told, f"Covariates of {side.table.name}, joined by {' and '.join(axes)}: {listed}."]
    for name in declared:
        if name not in found and name not in out.called:
            where = f"Looked in {' and '.join(looked[:5])}."
            raise UnknownNameError("covariate", name, every, advice=where)
    out.tables = tuple(tables)
    return out


def _must_meet(frame: pl.LazyFrame, lines: pl.LazyFrame, keys: Sequence[str], name: str) -> None:
    """A table whose items or places are none of the sales' was meant for other sales, or names them otherwise."""
    for key in keys:
        if not _meet(frame, lines, key):
            firsts = [f.select(key).drop_nulls().head(_SAMPLE).unique(maintain_order=True).head(3).collect()
                      for f in (frame, lines)]
            has, have = (", ".join(shorten(v, 20) for v in f[key]) or "none" for f in firsts)
            raise DataError(f"No {key} of {name} is in the sales: it has {has}, the sales have {have}. "
                            f"Name them alike, or name its {key} column: --columns {key}=...")


def _meet(frame: pl.LazyFrame, lines: pl.LazyFrame, key: str) -> bool:
    """Whether a table and the sales have one item, or place, in common."""
    theirs = frame.select(key).drop_nulls().unique()
    return any(theirs.join(ours.unique(), on=key, how="semi").head(1).collect(engine="streaming").height
               for ours in (lines.select(key).head(_SAMPLE), lines.select(key)))  # a beginning is enough where they meet


def _wanted(side: _Side, declared: Mapping[str, Kind], found: Mapping[str, str], out: Beside) -> dict[str, str]:
    """{our name: column} of what is taken from a table."""
    roles = {c: r for r, c in side.roles.items()}
    low = names_of(side.schema)
    wanted: dict[str, str] = {}
    for name in declared:
        column = name if name in side.schema else low.get(name.lower())
        if name in _MEASURED and name in side.roles:
            column = side.roles[name]
        if column is None or roles.get(column) in (*KEYS, DATE):
            continue
        ours = found.get(name) or out.called.get(name) or roles.get(column) or column
        if ours not in _MEASURED:
            refuse_reserved(ours)
        wanted[ours] = column
        out.called.setdefault(name, ours)
    for role in _MEASURED:
        if role in side.roles and role not in wanted and side.roles[role] not in wanted.values():
            wanted[role] = side.roles[role]
            out.measured = (*out.measured, role)
    return wanted


def find_static(sources: Sequence[Source | Table], *, sales_columns: Mapping[str, str], given: Given,
                keys: Mapping[str, pl.DataType], lines: pl.LazyFrame) -> tuple[pl.DataFrame | None, pl.DataFrame | None, list[str]]:
    """Attributes: the items' table, the places' table, sentences. Of a column that several tables have, the first counts."""
    found: dict[str, pl.DataFrame] = {}
    told: list[str] = []
    for source in sources:
        key, frame, more = _one_static(source, sales_columns, given, keys, lines)
        found[key] = frame if key not in found else _put_together(found[key], frame, key)
        told += more
    return found.get(ITEM), found.get(LOCATION), told


def _put_together(first: pl.DataFrame, second: pl.DataFrame, key: str) -> pl.DataFrame:
    """The columns of two tables; of those that both have, the first table's."""
    again = [c for c in second.columns if c in first.columns and c != key]
    return first.join(second.drop(again), on=key, how="full", coalesce=True, maintain_order="left_right")


def _one_static(source: Source | Table, sales_columns: Mapping[str, str], given: Given, keys: Mapping[str, pl.DataType],
                lines: pl.LazyFrame) -> tuple[str, pl.DataFrame, list[str]]:
    """The key of a table of attributes, the attributes, sentences."""
    side = _open_side(source, sales_columns, given, None, KEYS)
    there = [k for k in KEYS if k in side.roles and k in keys]
    if not there:
        raise DataError(f"{side.table.name} has no column of items or locations as in the sales, so its attributes belong to "
                        f"nothing. Its columns: {', '.join(shorten(c, 30) for c in list(side.schema)[:12])}.")
    if len(there) == 2:
        single = [k for k in there if side.frame.select(pl.col(side.roles[k]).is_duplicated().any()).collect().item() is False]
        if len(single) != 1:
            raise DataError(f"{side.table.name} has both items and locations; attributes are of one or the other. Give two tables, "
                            f"or name the columns as covariates.")
        there = single
    frame, told = _attributes(side, there[0], keys, {})
    _must_meet(frame.lazy(), lines, there, side.table.name)
    return there[0], frame, told


def find_places(source: Source | Table, others: pl.DataFrame | None, *, sales_columns: Mapping[str, str], given: Given,
                keys: Mapping[str, pl.DataType], lines: pl.LazyFrame) -> tuple[pl.DataFrame, list[str]]:
    """Locations with coordinates, and other attributes of places put to them."""
    side = _open_side(source, sales_columns, given, None, (LOCATION,))
    if LOCATION not in side.roles or LOCATION not in keys:
        raise DataError(f"{side.table.name} has no column of locations as in the sales. Its columns: "
                        f"{', '.join(shorten(c, 30) for c in list(side.schema)[:12])}. Name it: --columns location=...")
    where = recognise_roles(side.schema, given={}, dialect=None, source=side.table.name, roles=(LATITUDE, LONGITUDE),
                            required=(LATITUDE, LONGITUDE))
    frame, told = _attributes(side, LOCATION, keys, where.columns)
    _must_meet(frame.lazy(), lines, [LOCATION], side.table.name)
    told = [*where.told, *told]
    return frame if others is None else _put_together(frame, others, LOCATION), told


def add_places(lines: SalesLines, places: pl.DataFrame, *, source: str) -> SalesLines:
    """Sales with what a table of places tells that they do not tell themselves; as they were where that is nothing, or where none
    of its places is theirs.

    Parameters
    ----------
    places : `location` and attributes, by our names
    source : where it is from, for the sentence
    """
    own, schema = lines.places, lines.frame.collect_schema()
    more = [c for c in places.columns if c != LOCATION and (own is None or c not in own.columns)]
    if not more or LOCATION not in schema:
        return lines
    frame = like_keys(places.lazy().select(LOCATION, *more), {LOCATION: schema[LOCATION]}, [LOCATION]).collect()
    if not _meet(frame.lazy(), lines.frame, LOCATION):
        return lines
    told = f"Attributes of {frame.height:,} locations from {source}: {', '.join(shorten(c, 30) for c in more[:12])}."
    return replace(lines, places=frame if own is None else _put_together(own, frame, LOCATION), told=(*lines.told, told))


def _attributes(side: _Side, key: str, keys: Mapping[str, pl.DataType],
                numbers: Mapping[str, str]) -> tuple[pl.DataFrame, list[str]]:
    """All columns of a table by its key, each key once."""
    used = {side.roles[key], *numbers.values()}
    rest = [c for c in side.schema if c not in used and not c.startswith("__index_level_") and not side.schema[c].is_nested()]
    clash = [c for c in rest if c in (*ROLES, LATITUDE, LONGITUDE)]
    rest = [c for c in rest if c not in clash]
    purposes: dict[str, tuple[str, Purpose]] = {key: (side.roles[key], "key")}
    purposes |= {n: (c, "number") for n, c in numbers.items()}
    purposes |= {c: (c, "value") for c in rest}
    typed = typed_columns(side.frame, purposes, untyped=side.table.untyped, texts=False)
    frame = like_keys(side.frame.select(typed.columns), keys, [key]).unique(maintain_order=True).collect()
    told = [*side.told, *typed.told]
    nameless = frame[key].null_count()
    if nameless:
        frame = frame.filter(pl.col(key).is_not_null())
        told.append(f"{nameless:,} rows of {side.table.name} have no {key} as in the sales and were passed over.")
    repeated = frame.filter(pl.col(key).is_duplicated())[key]
    if len(repeated):
        first = ", ".join(shorten(k, 30) for k in repeated.unique(maintain_order=True)[:5])
        raise DataError(f"{side.table.name} has more than one row for the {key} {first} ({repeated.n_unique():,} in all). "
                        f"Keep one row for each.")
    listed = ", ".join(shorten(c, 30) for c in frame.columns[1:13])
    told.append(f"Attributes of {frame.height:,} {key}s from {side.table.name}: {listed}.")
    if clash:
        told.append(f"Not used of {side.table.name}: {', '.join(clash)}, names that mean something else here.")
    return frame, told


def _open_side(source: Source | Table, sales_columns: Mapping[str, str], given: Given, freq: Frequency | None, roles: Sequence[str],
               lines: pl.LazyFrame | None = None) -> _Side:
    """Open a table and find its keys: the user's names, a dialect's, the sales' own, common ones."""
    table = open_table(source)
    frame = table.frame
    dialect = recognise_dialect(frame.collect_schema(), (*COMPANIONS, *KNOWN))
    if dialect is not None and dialect.adapt is not None:
        if lines is not None:
            frame = _narrowed(frame, dialect, lines)
        frame = dialect.adapt(frame, names_of(frame.collect_schema()), freq)
    if dialect is not None and dialect.joined is not None and are_parts([sales_columns.get(ITEM)]):
        frame, dialect = split_ids(frame, dialect)
    schema = dict(frame.collect_schema())
    low = names_of(schema)
    named: dict[str, str] = {}
    for role in roles:
        for column in (given.columns.get(role), None if dialect and role in dialect.roles else sales_columns.get(role)):
            if column is not None and column.lower() in low and low[column.lower()] not in named.values():
                named.setdefault(role, low[column.lower()])
    found = recognise_roles(schema, given=named, dialect=dialect, source=table.name, roles=roles, weak_names=False)
    narrowed = dialect is not None and dialect.adapt is not None and lines is not None
    return _Side(table, frame, schema, {r: c for r, c in found.columns.items() if r != SALES}, (*table.told, *found.told), narrowed)


def _narrowed(frame: pl.LazyFrame, dialect: Dialect, lines: pl.LazyFrame) -> pl.LazyFrame:
    """Only the keys that have sales, before weeks become days: the price list of a whole chain is long."""
    names, own = names_of(frame.collect_schema()), lines.collect_schema()
    keys = [k for k in KEYS if dialect.roles.get(k) in names and k in own]
    if not keys:
        return frame
    there = lines.select(pl.col(k).cast(pl.String) for k in keys).unique()
    return frame.join(there, left_on=[pl.col(names[dialect.roles[k]]).cast(pl.String) for k in keys], right_on=keys, how="semi")
