"""Small forecasts and tables of overrides that the tests of overrides share."""

from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from shelfcast.adjust.override_table import Overrides, read_overrides
from shelfcast.forecast import Forecast
from shelfcast.periods import Frequency

LEVELS = (0.1, 0.5, 0.9)
CUTOFF = date(2024, 3, 4)
ITEMS = pl.DataFrame({"item": ["apple", "bread", "candle"], "category": ["food", "food", "home"]})
PLACES = pl.DataFrame({"location": ["north", "south"], "region": ["cold", "warm"]})


def small(mean: Any = None, *, horizon: int = 3, seed: int = 0, freq: str = "D", levels: tuple[float, ...] = LEVELS) -> Forecast:
    """Three items at two places: apple, bread, candle at north and south."""
    frequency = Frequency.parse(freq)
    rng = np.random.default_rng(seed)
    series = pl.DataFrame({"item": ["apple", "apple", "bread", "bread", "candle", "candle"], "location": ["north", "south"] * 3})
    means = rng.gamma(2, 5, (6, horizon)) if mean is None else np.broadcast_to(np.asarray(mean, dtype=float), (6, horizon))
    spread = np.sort(rng.uniform(0.2, 2.0, (6, horizon, len(levels))), axis=2)
    return Forecast(series, frequency, frequency.number(CUTOFF), levels, means[:, :, None] * spread, means)


def one(kind: str, amount: float, *, item: str | None = None, location: str | None = None, first: date = date(2024, 3, 5),
        last: date | None = None, who: str = "ann", when: datetime = datetime(2024, 3, 1), why: str = "leaflet",
        id: str | None = None, **attributes: str | None) -> dict[str, Any]:
    """One row of a table of overrides; by default it is about the first day of `small`, of all series."""
    return {"item": item, "location": location, **attributes, "first": first, "last": last or first, "kind": kind,
            "amount": float(amount), "who": who, "when": when, "why": why, "id": id}


def overrides(*rows: dict[str, Any]) -> Overrides:
    """A checked table of such rows."""
    texts = {name: pl.String for row in rows for name in row if name in ("item", "location", "id", "category", "region")}
    return read_overrides(pl.DataFrame(list(rows), schema_overrides=texts))
