"""Change the future: no model's forecast may move. Sales and past covariates after the cutoff are not there to be seen."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.data.split import cut, windows
from shelfcast.models.registry import make_model, missing_package, model_names
from shelfcast.panel import CovariateTable, SalesPanel

HORIZON = 7
DAYS = 330
SERIES = 10
CUTOFF = date(2024, 11, 15)
CHEAP: dict[str, dict[str, object]] = {"ets": {"context": 42}, "boosted": {"effort": "fast", "threads": 1},
                                          "spacetime": {"steps": 4, "width": 16, "heads": 2, "layers": 1}}


def whole(factor: float = 1.0) -> SalesPanel:
    """330 days of ten series; everything after the cutoff that is no known covariate is multiplied by `factor`."""
    rng = np.random.default_rng(7)
    when = [date(2024, 1, 1) + timedelta(days=t) for t in range(DAYS)]
    later = np.array([factor if d > CUTOFF else 1.0 for d in when])
    parts, prices = [], []
    for i in range(SERIES):
        promo = (rng.random(DAYS) < 0.2).astype(float)
        sales = rng.poisson(6 * (i + 1) * (1 + promo)).astype(float)
        parts.append(pl.DataFrame({"item": f"item {i}", "location": "Oslo", "date": when, "sales": sales * later,
                                   "promo": promo, "visitors": sales * 3 * later}))
        prices.append(pl.DataFrame({"item": f"item {i}", "date": when, "price": (10 + rng.normal(0, 1, DAYS)) * later}))
    panel = SalesPanel.from_frame(pl.concat(parts), known=["promo"], past=["visitors"], freq="D")
    table = pl.concat(prices).select("item", panel.frequency.number_of(pl.col("date")).alias("period"), "price")
    return replace(panel, tables=(CovariateTable(table),), covariates={**panel.covariates, "price": "past"})


@pytest.fixture(params=model_names())
def name(request: pytest.FixtureRequest) -> str:
    package = missing_package(request.param)
    if package is not None:
        pytest.skip(f"the model {request.param} needs the package {package}, which is not installed")
    return str(request.param)


@pytest.mark.parametrize("factor", [0.0, 50.0])
def test_a_forecast_does_not_move_when_the_future_changes(name, factor):
    one, two = (cut(whole(f), CUTOFF) for f in (1.0, factor))
    before, after = (make_model(name, CHEAP.get(name)).fit(p).predict(p, horizon=HORIZON) for p in (one, two))
    np.testing.assert_array_equal(before.quantiles, after.quantiles)
    np.testing.assert_array_equal(before.mean, after.mean)


def test_a_model_looks_at_nothing_past_the_cutoff_even_where_rows_were_left_there(name):
    honest = cut(whole(), CUTOFF)
    left = whole(50.0).rows  # sales and visitors of the future, as if the cut had failed
    careless = replace(honest, rows=left)
    before, after = (make_model(name, CHEAP.get(name)).fit(p).predict(p, horizon=HORIZON) for p in (honest, careless))
    np.testing.assert_array_equal(before.quantiles, after.quantiles)


def test_a_replayed_window_shows_its_model_what_a_cut_panel_shows():
    panel = whole()
    window = next(windows(panel, horizon=HORIZON))
    assert window.past.fingerprint() == cut(panel, panel.cutoff - HORIZON).fingerprint()
    assert window.past.dense().sales.shape[1] == DAYS - HORIZON and window.truth().shape == (SERIES, HORIZON)
