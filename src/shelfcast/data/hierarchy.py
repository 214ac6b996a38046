"""Hierarchies: which series add up to what.

A level groups the series of a panel (or of a forecast) by an attribute of their items, of their places, or by a cross of the
two; `total` groups them all. Levels may cross each other (category x region beside item): each is one column of codes, so any
number of them costs N whole numbers each, and sums over a level are one sparse product.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import polars as pl
from scipy import sparse

from shelfcast.errors import DataError, SettingsError, UnknownNameError, shorten
from shelfcast.names import ALL, ITEM, KEYS, LOCATION

TOTAL: Final = "total"
BOTTOM: Final = "bottom"
UNKNOWN: Final = "unknown"
"""The group of those whose attribute is not recorded."""
_CROSS: Final = " x "


@dataclass(frozen=True, eq=False)
class Level:
    """One way to group N series into K nodes.

    Attributes
    ----------
    name : `total`, an attribute (`category`, `item`, `region`, `location`), or a cross of two (`category x region`)
    series : table, one row a node: `item`, `location`, sorted by both; `all` on an axis that the level sums over
    codes : int (N,), the node of each series: a row of `series`
    item_axis, place_axis : attribute by which items, places are grouped; None where all are summed
    """

    name: str
    series: pl.DataFrame
    codes: np.ndarray
    item_axis: str | None = None
    place_axis: str | None = None

    def __len__(self) -> int:
        return self.series.height

    def matrix(self) -> sparse.csr_array:
        """(K, N) of zeros and ones: row k sums the series of node k."""
        n = len(self.codes)
        return sparse.csr_array((np.ones(n), (self.codes, np.arange(n))), shape=(len(self), n))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """float (K, ...): sums over the members of each node of values (N, ...); nan where a member is nan."""
        values = np.asarray(values, dtype=float)
        if len(values) != len(self.codes):
            raise DataError(f"The level {self.name!r} sums {len(self.codes):,} series; got values of {len(values):,}.")
        return np.asarray(self.matrix() @ values.reshape(len(values), -1)).reshape(len(self), *values.shape[1:])


@dataclass(frozen=True, eq=False, repr=False)
class Hierarchy:
    """Levels over N bottom series. Make one with `Hierarchy.of`.

    Rows of all levels together, (M, ...): the levels in their order, then the bottom series.

    Attributes
    ----------
    series : table, one row a bottom series: `item`, `location`, sorted by both
    levels : the levels above the bottom, coarse to fine
    told : sentences on how it was made, for the user
    """

    series: pl.DataFrame
    levels: tuple[Level, ...]
    told: tuple[str, ...] = ()

    @classmethod
    def of(cls, series: pl.DataFrame, *, items: pl.DataFrame | None = None, places: pl.DataFrame | None = None,
           item_levels: Sequence[str] = (), place_levels: Sequence[str] = (), cross: bool = True, keep_equal: bool = False) -> Self:
        """From attributes of items and places.

        Parameters
        ----------
        series : table with `item`, `location`, each pair once, as of a panel or a forecast
        items, places : attributes by `item`, by `location`, one row each
        item_levels, place_levels : attributes to group by; `item` and `location` themselves are attributes, too
        cross : also group by each item attribute together with each place attribute
        keep_equal : keep levels that group the series just as another level does, or not at all; left out otherwise,
            since a number that is forecast twice counts twice

        Raises
        ------
        UnknownNameError
            If an attribute is in no table.
        DataError
            If an attribute table holds an item or a place twice.

        Examples
        --------
        >>> series = pl.DataFrame({"item": ["jam", "jam", "tea"], "location": ["A", "B", "A"]})
        >>> items = pl.DataFrame({"item": ["jam", "tea"], "category": ["sweet", "drink"]})
        >>> h = Hierarchy.of(series, items=items, item_levels=["category"], place_levels=["location"])
        >>> h
        Hierarchy: 3 series; total 1, category 2, location 2
        >>> h.sum_up(np.array([1.0, 10.0, 100.0]))
        array([111., 100.,  11., 101.,  10.,   1.,  10., 100.])
        """
        told: list[str] = []
        by_item = {name: _labels(series, ITEM, items, name, told) for name in dict.fromkeys(item_levels)}
        by_place = {name: _labels(series, LOCATION, places, name, told) for name in dict.fromkeys(place_levels)}
        both = sorted(set(by_item) & set(by_place))
        if both:
            raise SettingsError(f"The levels {shorten(both[0])!r} of items and of places have one name; rename one of the columns.")
        axes: list[tuple[str | None, str | None]] = [(None, None), *((i, None) for i in by_item), *((None, p) for p in by_place)]
        if cross:
            axes += [(i, p) for i in by_item for p in by_place]
        axes = [pair for pair in axes if pair != (ITEM, LOCATION)]
        all_of = pl.Series([ALL], dtype=pl.String).new_from_index(0, series.height)
        found = [_level(i, p, all_of if i is None else by_item[i], all_of if p is None else by_place[p]) for i, p in axes]
        found.sort(key=len)  # stable: levels of one size keep the order in which they were asked for
        levels = tuple(found if keep_equal else _distinct(found, told))
        return cls(series.select(KEYS), levels, tuple(told))

    def __repr__(self) -> str:
        return f"Hierarchy: {len(self.series):,} series; " + ", ".join(f"{one.name} {len(one):,}" for one in self.levels)

    def __len__(self) -> int:
        """M: rows of all levels and the bottom."""
        return sum(map(len, self.levels)) + self.series.height

    @property
    def bottom(self) -> Level:
        """The series themselves as a level."""
        return Level(BOTTOM, self.series, np.arange(self.series.height), ITEM, LOCATION)

    @property
    def names(self) -> list[str]:
        """Names of the levels, coarse to fine, without the bottom."""
        return [one.name for one in self.levels]

    def __getitem__(self, name: str) -> Level:
        for level in (*self.levels, self.bottom):
            if level.name == name:
                return level
        raise UnknownNameError("level", name, [*self.names, BOTTOM])

    def only(self, names: Sequence[str]) -> Self:
        """The hierarchy with some of its levels, in the order that it has them."""
        wanted = [self[name].name for name in names]
        return type(self)(self.series, tuple(one for one in self.levels if one.name in wanted), self.told)

    def rows(self) -> Mapping[str, slice]:
        """{level: its rows among the M}, the bottom last."""
        out, start = {}, 0
        for level in (*self.levels, self.bottom):
            out[level.name] = slice(start, start + len(level))
            start += len(level)
        return out

    def upper_matrix(self) -> sparse.csr_array:
        """A, (M - N, N): what the levels sum."""
        if not self.levels:
            return sparse.csr_array((0, self.series.height))
        return sparse.csr_array(sparse.vstack([one.matrix() for one in self.levels], format="csr"))

    def matrix(self) -> sparse.csr_array:
        """S, (M, N): the levels above the identity; (levels + 1) x N stored numbers."""
        return sparse.csr_array(sparse.vstack([self.upper_matrix(), sparse.eye_array(self.series.height)], format="csr"))

    def sum_up(self, values: np.ndarray) -> np.ndarray:
        """float (M, ...): values (N, ...) of the bottom series summed over every level, the bottom itself last."""
        return np.concatenate([one for _, one in self.sums(values)])

    def sums(self, values: np.ndarray) -> Iterator[tuple[Level, np.ndarray]]:
        """Each level with its sums (K, ...), the bottom last: for what would be too much to hold for all levels at once."""
        for level in self.levels:
            yield level, level.sums(values)
        yield self.bottom, np.asarray(values, dtype=float)


def _labels(series: pl.DataFrame, key: str, table: pl.DataFrame | None, name: str, told: list[str]) -> pl.Series:
    """(N,) the group of each series by one attribute of its item or its place."""
    if name == key:
        return series[key]
    what = "item" if key == ITEM else "place"
    columns = [] if table is None else [c for c in table.columns if c not in KEYS]
    if table is None or name not in columns:
        raise UnknownNameError(f"attribute of {what}s", name, [key, *columns], advice="Give a table with it: --static FILE.")
    repeated = table.filter(table[key].is_duplicated())
    if repeated.height:
        raise DataError(f"The table of {what}s has {repeated.height:,} rows that repeat an id; the first: "
                        f"{shorten(repeated[key][0])!r}. Keep one row for each.")
    joined = series.select(key).join(table.select(key, pl.col(name).cast(pl.String)), on=key, how="left", maintain_order="left")
    unknown = joined.filter(pl.col(name).is_null())[key].n_unique()
    if unknown:
        told.append(f"{unknown:,} {what}{'s' * (unknown != 1)} without a {shorten(name, 40)} form a group of their own, "
                    f"{UNKNOWN!r}; the first: {shorten(joined.filter(pl.col(name).is_null())[key][0], 40)}.")
    return joined[name].fill_null(UNKNOWN)


def _level(item_axis: str | None, place_axis: str | None, items: pl.Series, places: pl.Series) -> Level:
    """The level that groups by two columns of labels."""
    labels = pl.DataFrame({ITEM: items, LOCATION: places})
    nodes = labels.unique().sort(*KEYS)
    codes = labels.join(nodes.with_row_index("node"), on=KEYS, how="left", maintain_order="left")["node"].to_numpy()
    name = _CROSS.join(a for a in (item_axis, place_axis) if a is not None) or TOTAL
    return Level(name, nodes, codes.astype(np.int64), item_axis, place_axis)


def _distinct(levels: list[Level], told: list[str]) -> Iterator[Level]:
    """Levels that group unlike any before them and unlike the bottom."""
    seen: dict[bytes, str] = {}
    for level in levels:
        _, first, inverse = np.unique(level.codes, return_index=True, return_inverse=True)
        pattern = np.argsort(np.argsort(first))[inverse].tobytes()  # codes in the order of first appearance
        if len(level) == len(level.codes):
            told.append(f"The level {level.name!r} groups nothing: each of its {len(level):,} nodes is one series. Left out.")
        elif pattern in seen:
            told.append(f"The level {level.name!r} groups just as {seen[pattern]!r} does. Left out.")
        else:
            seen[pattern] = level.name
            yield level
