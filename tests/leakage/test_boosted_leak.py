"""What the booster and the profile may not see: anything after the cutoff but known covariates, within the horizon."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.data.split import cut
from shelfcast.models.boosted import Boosted, BoostedSettings
from shelfcast.models.profile import Profile
from shelfcast.panel import PERIOD, SalesPanel

HORIZON, DAYS = 10, 800
CUTOFF = date(2023, 1, 2) + timedelta(days=DAYS - 1)
MAKE = {"boosted": lambda: Boosted(BoostedSettings(effort="fast", max_rows=5_000, threads=1, horizon=HORIZON)),
        "profile": lambda: Profile()}


def chain() -> SalesPanel:
    rng = np.random.default_rng(2)
    days = DAYS + 2 * HORIZON
    when = [date(2023, 1, 2) + timedelta(days=t) for t in range(days)]
    parts = []
    for i in range(12):
        promo = (rng.random(days) < 0.3).astype(float)
        sales = rng.poisson((0.3 if i < 3 else 20.0) * (1 + promo)).astype(float)
        parts.append(pl.DataFrame({"item": f"i{i}", "location": "here", "date": when, "promo": promo,
                                   "visits": rng.normal(50, 5, days), "sales": sales}))
    return SalesPanel.from_frame(pl.concat(parts), freq="D", known=["promo"], past=["visits"])


def altered(panel: SalesPanel, column: str, *, after: int) -> SalesPanel:
    """The panel with another value in a column past a period."""
    later = pl.when(pl.col(PERIOD) > after)
    return replace(panel, rows=panel.rows.with_columns(later.then(1 - pl.col(column) if column == "promo" else 999.0)
                                                       .otherwise(pl.col(column)).alias(column)))


def forecast(name: str, panel: SalesPanel) -> np.ndarray:
    past = cut(panel, CUTOFF)
    return MAKE[name]().fit(past).predict(past, horizon=HORIZON).quantiles


@pytest.mark.parametrize("name", list(MAKE))
@pytest.mark.parametrize("column", ["sales", "visits"])
def test_sales_and_past_covariates_after_the_cutoff_change_nothing(name, column):
    panel = chain()
    at = cut(panel, CUTOFF).cutoff
    assert np.array_equal(forecast(name, panel), forecast(name, altered(panel, column, after=at)))


@pytest.mark.parametrize("name", list(MAKE))
def test_promotions_of_the_horizon_matter_and_those_past_it_do_not(name):
    panel = chain()
    at = cut(panel, CUTOFF).cutoff
    before = forecast(name, panel)
    assert not np.array_equal(before, forecast(name, altered(panel, "promo", after=at)))
    assert np.array_equal(before, forecast(name, altered(panel, "promo", after=at + HORIZON)))
