"""One folder of official files: which data set it is, which file is what, and the tables beside the sales.

A bundle (`sources/bundle.py`) is recognised by the files' names and by the columns of the sales file. What the user names himself
goes before what a bundle says; `read` sees to that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from shelfcast.data.columns.dialects import names_of
from shelfcast.data.formats.globs import is_readable
from shelfcast.data.formats.tables import Table, open_files, open_table
from shelfcast.data.sources import (
    complete_journey,
    dominicks,
    favorita,
    instacart,
    invoices,
    iowa,
    m5,
    olist,
    recruit,
    rossmann,
    walmart,
)
from shelfcast.data.sources.bundle import Bundle, File, Piece
from shelfcast.data.sources.dialect import Dialect
from shelfcast.errors import DataError, ShelfcastError, SourceError, shorten
from shelfcast.names import Kind

BUNDLES: Final[tuple[Bundle, ...]] = (
    m5.BUNDLE, favorita.ITEMS_BUNDLE, favorita.FAMILIES_BUNDLE, rossmann.BUNDLE, walmart.BUNDLE, recruit.BUNDLE, iowa.BUNDLE,
    dominicks.MOVEMENT_BUNDLE, dominicks.JUICE_BUNDLE, complete_journey.BUNDLE, invoices.BUNDLE, olist.BUNDLE,
    instacart.BUNDLE)
"""Folders that are known, in the order in which they are tried."""

_MOST: Final = 500  # files looked at; official folders hold a dozen, Dominick's about sixty
_PLAIN: Final = (".parquet", ".pq", ".feather", ".arrow", ".csv", ".txt", ".xlsx", ".xls")  # preferred to packed copies


@dataclass(frozen=True)
class Beside:
    """One table of a bundle, opened."""

    piece: Piece
    table: Table


@dataclass(frozen=True)
class Folder:
    """A folder that was recognised.

    Attributes
    ----------
    bundle : which data set
    sales : its sales table
    beside : the other tables
    told : sentences for the user
    """

    bundle: Bundle
    sales: Table
    beside: tuple[Beside, ...] = ()
    told: tuple[str, ...] = ()

    def only(self, named: Mapping[str, str]) -> "Folder":
        """Without the tables whose keys the user gives another meaning.

        Parameters
        ----------
        named : {role: column} from the user
        """
        dialect = _dialect(self.bundle, self.sales)
        usual = {} if dialect is None else dialect.roles
        other = {r for r, c in named.items() if c.strip().lower() != usual.get(r)}
        kept = tuple(b for b in self.beside if not other & set(b.piece.keys))
        left = [b for b in self.beside if b not in kept]
        told = tuple(f"{b.table.name} is left out: it is joined by {' and '.join(b.piece.keys)}, which --columns names otherwise."
                     for b in left)
        return replace(self, beside=kept, told=(*self.told, *told))

    def kinds(self, schema: Sequence[str]) -> dict[str, Kind]:
        """{covariate: kind} of all that is there.

        Parameters
        ----------
        schema : columns of the sales
        """
        found: dict[str, Kind] = {}
        places: list[tuple[Sequence[str], Bundle | Piece]] = [(schema, self.bundle)]
        places += [(b.table.frame.collect_schema().names(), b.piece) for b in self.beside if b.piece.use == "covariates"]
        for columns, says in places:
            names = names_of(columns)
            for kind, wanted in (("known", says.known), ("past", says.past)):
                found |= {names[w.lower()]: kind for w in wanted if w.lower() in names}  # type: ignore[misc]
        return found

    def tables(self, use: str) -> list[Table]:
        """Those of one use."""
        return [b.table for b in self.beside if b.piece.use == use]


@dataclass
class _Look:
    """The files of a folder, each opened once."""

    files: list[Path]
    opened: dict[tuple[Path, ...], Table | None] = field(default_factory=dict)

    def table(self, files: Sequence[Path]) -> Table | None:
        """The table of these files, or None where they cannot be opened."""
        key = tuple(files)
        if key not in self.opened:
            try:
                self.opened[key] = open_table(str(files[0])) if len(files) == 1 else open_files(list(files), _called(files))
            except ShelfcastError:
                self.opened[key] = None
        return self.opened[key]


def open_folder(source: object) -> Folder | None:
    """The bundle that a folder holds; None for what is no folder, or a folder that is not known.

    Raises
    ------
    DataError
        If a file without which nothing can be read is missing, or the data set has no sales by date.
    SourceError
        If the files are packed in a way that cannot be unpacked here.
    """
    if not isinstance(source, (str, Path)) or "\0" in str(source):
        return None
    path = Path(source)
    try:
        if not path.is_dir():
            return None
        files = _files(path)
        if not any(is_readable(f) for f in files):
            inside = [f for f in path.iterdir() if f.is_dir() and not f.name.startswith((".", "_"))]
            if len(inside) != 1 or "=" in inside[0].name:
                return None
            files = _files(inside[0])
    except OSError:
        return None
    if not files or len(files) > _MOST:
        return None
    look = _Look([f for f in files if is_readable(f)])
    fits = [(len(found), b, found) for b in BUNDLES if (found := _match(b, look)) is not None]
    if not fits:
        _refuse_halves(path, files, look)
        return None
    _, bundle, found = max(fits, key=lambda f: f[0])
    if bundle.refuse is not None:
        raise DataError(f"{_this(path, bundle)}. {bundle.refuse}")
    return _opened(path, bundle, found, look)


def _files(path: Path) -> list[Path]:
    return sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith((".", "_")))


def _match(bundle: Bundle, look: _Look) -> dict[str, list[Path]] | None:
    """{official name: files} if the sales file is there and has the columns of this data set.

    People rename the sales file, so that its columns tell it where another file's name tells the data set. Several such files are
    parts of one table, which is no official folder: none of them must be passed over.
    """
    found = _by_name(bundle, look.files)
    unknown = [f for f in look.files if all(one.rank(f.name) is None for one in bundle.files)]
    alike = [f for f in unknown if (table := look.table([f])) is not None and _dialect(bundle, table) is not None]
    if bundle.sales not in found:
        return {**found, bundle.sales: alike} if found and len(alike) == 1 else None
    table = look.table(found[bundle.sales])
    if alike or table is None or _dialect(bundle, table, raw=True) is None:
        return None
    return found


def _by_name(bundle: Bundle, files: Sequence[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for one in bundle.files:
        ranked = sorted((r, f.suffix.lower() not in _PLAIN, f.name, f) for f in files if (r := one.rank(f.name)) is not None)
        if ranked:
            best = [f for r, packed, _, f in ranked if (r, packed) == ranked[0][:2]]
            found[one.name] = best if one.many else best[:1]
    return found


def _dialect(bundle: Bundle, table: Table, *, raw: bool = False) -> Dialect | None:
    """The dialect of the bundle that a table speaks; of the sales file by itself where the sales are made of several (`raw`)."""
    names = names_of(table.frame.collect_schema())
    among = bundle.raw if raw and bundle.raw else bundle.dialects
    return next((d for d in among if d.fits(names)), None)


def _refuse_halves(path: Path, files: Sequence[Path], look: _Look) -> None:
    """A folder with telling files of a data set and without its sales."""
    for bundle in BUNDLES:
        packed = [f for f in files if f.suffix.lower() in (".7z", ".rar")]
        found = _by_name(bundle, look.files)
        there = [n for n in _by_name(bundle, [*look.files, *packed]) if bundle.file(n).telling]
        if not there or bundle.sales in found:
            continue
        sales = bundle.file(bundle.sales)
        held = _by_name(bundle, packed).get(sales.name)
        if held:
            raise SourceError(f"{_this(path, bundle)}; {held[0].name} is packed in a way that cannot be unpacked here. "
                              f"Unpack it into the same folder.")
        if len(there) + len(found) > 2 or len(there) > 1:
            raise DataError(f"The folder {shorten(path.name or str(path), 40)} looks like {bundle.title}, for it has "
                            f"{', '.join(there[:4])}, but {sales.name} ({sales.holds}) is missing. "
                            f"{_where(bundle, [sales])}")


def _opened(path: Path, bundle: Bundle, found: dict[str, list[Path]], look: _Look) -> Folder:
    missing = [f for f in bundle.files if f.name not in found]
    needed = [f for f in missing if f.needed]
    if needed:
        raise DataError(f"{_this(path, bundle)}, but {_listed(needed)} is missing. {_where(bundle, needed)}")
    tables: dict[str, Table] = {}
    told = []
    for name, files in found.items():
        table = look.table(files)
        if table is None:  # open it again for the error that says why
            table = open_table(str(files[0])) if len(files) == 1 else open_files(files, _called(files))
        tables[name] = table
    frames = {n: t.frame for n, t in tables.items()}
    sales = tables[bundle.sales]
    if bundle.make is not None:
        name = f"the folder {shorten(path.name or str(path), 40)}"
        sales = Table(bundle.make(frames), name, files=len(found), untyped=sales.untyped)
    beside, used = [], {bundle.sales}
    for piece in bundle.pieces:
        if all(n in tables for n in (piece.of if piece.needs is None else piece.needs)):
            used |= set(piece.of) & set(tables)
            own = next(tables[n] for n in piece.of if n in tables)
            made = own.frame if piece.make is None else piece.make(frames)
            if made is not None:
                beside.append(Beside(piece, own if piece.make is None else Table(made, own.name, untyped=own.untyped)))
    joined = [_called(found[n]) for n in found if n in used and n != bundle.sales]
    told.append(f"{_this(path, bundle)}: {_called(found[bundle.sales])} holds the sales"
                f"{f', {_words(joined)} {_are(joined)} joined to them' if joined else ''}.")
    wanted = {n for p in bundle.pieces for n in p.of}
    absent = [f for f in missing if f.name in wanted]
    if absent:
        told.append(f"Not in the folder: {_listed(absent)}. {_where(bundle, absent)}")
    others = [f.name for f in look.files if f not in {x for n in used if n in found for x in found[n]}]
    if others:
        told.append(f"Not used of the folder: {', '.join(others[:8])}{' ...' if len(others) > 8 else ''}.")
    return Folder(bundle, sales, tuple(beside), tuple(told))


def _this(path: Path, bundle: Bundle) -> str:
    return f"The folder {shorten(path.name or str(path), 40)} is recognised as {bundle.title}"


def _where(bundle: Bundle, files: Sequence[File]) -> str:
    return f"{'It is one' if len(files) == 1 else 'They are'} of the files of {bundle.origin}; put {_it(files)} into the folder."


def _it(files: Sequence[File]) -> str:
    return "it" if len(files) == 1 else "them"


def _listed(files: Sequence[File]) -> str:
    return ", ".join(f"{f.name} ({f.holds})" for f in files)


def _called(files: Sequence[Path]) -> str:
    return files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more like it"


def _words(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"

