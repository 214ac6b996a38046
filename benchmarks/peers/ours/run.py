"""Ours, run as every peer is: reads a window in the neutral format, forecasts with a registered model."""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import polars as pl

sys.path.append(str(Path(__file__).resolve().parent.parent))
from exchange import LEVELS, QUANTILES, Window, read_window, write_forecast

from shelfcast.models.base import Forecaster
from shelfcast.models.registry import make_model, setting_names
from shelfcast.names import DATE, ITEM, LOCATION, SALES
from shelfcast.names import LEVELS as DEFAULT_LEVELS
from shelfcast.panel import SalesPanel

FREQUENCIES = {"MS": "M"}  # pandas alias to ours, where they differ


def panel_of(window: Window) -> SalesPanel:
    """The panel of a window: the past with the known covariates of the horizon, and what never changes of items and places."""
    about = window.about
    keys = {about.item: ITEM, about.location: LOCATION}
    keys.pop("", None)
    static = pl.from_pandas(window.static).rename(keys)
    rows = pl.concat([pl.from_pandas(window.past), pl.from_pandas(window.future)], how="diagonal")
    rows = rows.join(static.select("id", *keys.values()), on="id").rename({"y": SALES}).with_columns(pl.col(DATE).cast(pl.Date))
    rest = [c for c in about.static if c not in keys]
    tables: dict[str, pl.DataFrame] = {}
    for field, key in (("items", ITEM), ("places", LOCATION)):
        if key in static.columns and rest:
            values = static.group_by(key).agg(pl.col(c).n_unique() for c in rest)
            own = [c for c in rest if values[c].max() == 1]
            tables[field] = static.select(key, *own).unique().sort(key)
            rest = [c for c in rest if c not in own]
    panel = SalesPanel.from_frame(rows, freq=FREQUENCIES.get(about.freq, about.freq), known=about.known,
                                  cutoff=window.past.date.max().date(), **tables)
    names = [c for table in tables.values() for c in table.columns[1:]]
    return replace(panel, covariates={**panel.covariates, **dict.fromkeys(names, "static")})


def fitted(window: Window, panel: SalesPanel, model_name: str, *, options: Mapping[str, object]) -> Forecaster:
    """A registered model, fitted on the window."""
    about = window.about
    wanted = {"seed": about.seed, "horizon": about.horizon, "threads": about.threads}
    known = {k: v for k, v in wanted.items() if k in setting_names(model_name)}
    return make_model(model_name, {**known, **options}).fit(panel)


def deciles(window: Window, panel: SalesPanel, model: Forecaster) -> pd.DataFrame:
    """The deciles of a fitted model."""
    about = window.about
    made = model.predict(panel, horizon=about.horizon, levels=sorted({*DEFAULT_LEVELS, *LEVELS})).to_frame()
    keys = {ITEM: about.item, LOCATION: about.location}
    names = pl.from_pandas(window.static).select("id", *(pl.col(v).alias(k) for k, v in keys.items() if v))
    out = made.join(names, on=[k for k, v in keys.items() if v]).with_columns(pl.col(DATE).cast(pl.Datetime("us")))
    return out.select("id", DATE, *QUANTILES).to_pandas()


def main() -> None:
    """The command line of every peer, with any registered model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("window", type=Path)
    parser.add_argument("forecast", type=Path)
    parser.add_argument("--model", required=True)
    arguments = parser.parse_args()
    window = read_window(arguments.window)
    panel = panel_of(window)
    write_forecast(arguments.forecast, window, deciles(window, panel, fitted(window, panel, arguments.model, options={})))


if __name__ == "__main__":
    main()
