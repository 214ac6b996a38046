"""What a drawn retailer wrote down, as arrays, and how that becomes a panel.

Between a regime, which fills the arrays, and a `SalesPanel`; views (weeks, sums) are taken here, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from shelfcast.names import ITEM, LOCATION, SALES, Absent, Kind
from shelfcast.panel import PERIOD, SERIES, CovariateTable, SalesPanel
from shelfcast.periods import Frequency


@dataclass(frozen=True)
class Texts:
    """A covariate of texts.

    Attributes
    ----------
    codes : int array, positions in `names`
    names : the texts
    """

    codes: np.ndarray
    names: tuple[str, ...]


Covariate = np.ndarray | Texts
"""Of shape (N, T) by series, (P, T) by place, or (T,) for all."""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """A drawn retailer's books; N series, K items, P places, T periods. Series run through the places of the first item, and so on.

    Attributes
    ----------
    frequency, first : length of a period; number of column 0
    items, places : names, in rising order
    item_of, place_of : (N,), positions
    sold : (N, T), recorded sales; nan where a row has none
    truth : (N, T), what a forecast should say; nan where there is nothing to forecast
    demand : (N, T), units wanted, where that differs from what could be sold; else None
    closed : bool (P, T), nothing could be sold at a place; None where that never is so
    row : bool (N, T), there is a row
    known, past : {name: covariate}
    item_facts, place_facts : attributes by `items`, by `places`; numbers or texts
    absent, closed_when, net_of_returns : as in `SalesPanel`
    """

    frequency: Frequency
    first: int
    items: tuple[str, ...]
    places: tuple[str, ...]
    item_of: np.ndarray
    place_of: np.ndarray
    sold: np.ndarray
    truth: np.ndarray
    row: np.ndarray
    known: Mapping[str, Covariate] = field(default_factory=dict)
    past: Mapping[str, Covariate] = field(default_factory=dict)
    item_facts: Mapping[str, np.ndarray] = field(default_factory=dict)
    place_facts: Mapping[str, np.ndarray] = field(default_factory=dict)
    absent: Absent = "missing"
    closed_when: str | None = None
    net_of_returns: bool = False
    demand: np.ndarray | None = None
    closed: np.ndarray | None = None

    def cells(self, values: np.ndarray) -> np.ndarray:
        """A covariate's numbers as (N, T)."""
        shape = self.sold.shape
        if values.ndim == 2 and values.shape[0] != shape[0]:
            values = values[self.place_of]
        return np.broadcast_to(values, shape)


def names_of(letter: str, count: int) -> tuple[str, ...]:
    """Names that sort as they are counted.

    >>> names_of("S", 3)
    ('S001', 'S002', 'S003')
    """
    return tuple(f"{letter}{i + 1:03d}" for i in range(count))


def panel_of(ledger: Ledger) -> tuple[SalesPanel, np.ndarray, int]:
    """The panel, the truth (N', T') in the order of its series, and the period of the truth's first column.

    Series without a row are left out, and so are periods before the first row of all. Covariates by series and by place come in
    the rows; those of time alone in a table of their own.
    """
    kept = np.flatnonzero(ledger.row.any(axis=1))
    begin = int(ledger.row.any(axis=0).argmax())
    row = ledger.row[kept, begin:]
    series, column = np.nonzero(row)
    place_of, first = ledger.place_of[kept], ledger.first + begin
    columns: dict[str, pl.Series] = {
        SERIES: pl.Series(series.astype(np.uint32)), PERIOD: pl.Series((first + column).astype(np.int32)),
        SALES: pl.Series(ledger.sold[kept, begin:][row], nan_to_null=True)}
    shared: dict[str, pl.Series] = {PERIOD: pl.Series(np.arange(first, first + row.shape[1], dtype=np.int32))}
    for name, values in {**ledger.known, **ledger.past}.items():
        numbers = values.codes if isinstance(values, Texts) else values
        if numbers.ndim == 1:
            shared[name] = _column(values, numbers[begin:])
            continue
        numbers = numbers[:, begin:]
        at = series if len(ledger.sold) == len(numbers) and len(kept) == len(numbers) else (
            kept[series] if len(numbers) == len(ledger.sold) else place_of[series])
        columns[name] = _column(values, numbers[at, column])
    covariates: dict[str, Kind] = {**dict.fromkeys(ledger.known, "known"), **dict.fromkeys(ledger.past, "past")}
    facts = {}
    for key, names, values_of in ((ITEM, ledger.items, ledger.item_facts), (LOCATION, ledger.places, ledger.place_facts)):
        facts[key] = pl.DataFrame({key: names, **dict(values_of)}) if values_of else None
        covariates |= dict.fromkeys((n for n in values_of if n not in ("latitude", "longitude")), "static")
    keys = pl.DataFrame({
        ITEM: pl.Series(ledger.items).gather(ledger.item_of[kept]), LOCATION: pl.Series(ledger.places).gather(place_of),
        "start": (first + row.argmax(axis=1)).astype(np.int32)})
    panel = SalesPanel(
        pl.DataFrame(columns), keys, ledger.frequency, first + row.shape[1] - 1, covariates=covariates,
        tables=(CovariateTable(pl.DataFrame(shared)),) if len(shared) > 1 else (), items=facts[ITEM], places=facts[LOCATION],
        absent=ledger.absent, net_of_returns=ledger.net_of_returns, closed_when=ledger.closed_when)
    return panel, ledger.truth[kept, begin:], first


def _column(values: Covariate, picked: np.ndarray) -> pl.Series:
    if isinstance(values, Texts):
        return pl.Series(values.names).gather(picked)
    return pl.Series(picked, nan_to_null=True) if picked.dtype.kind == "f" else pl.Series(picked)


def without_covariates(ledger: Ledger, names: set[str]) -> Ledger:
    """The same books with some covariates not kept."""
    return replace(ledger, known={k: v for k, v in ledger.known.items() if k not in names},
                   past={k: v for k, v in ledger.past.items() if k not in names},
                   item_facts={k: v for k, v in ledger.item_facts.items() if k not in names},
                   place_facts={k: v for k, v in ledger.place_facts.items() if k not in names},
                   closed_when=None if ledger.closed_when in names else ledger.closed_when)
