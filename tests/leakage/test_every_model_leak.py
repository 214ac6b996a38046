"""Change the future: no model's forecast may move. Sales and past covariates after the cutoff are not there to be seen."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.data.split import cut, windows
from shelfcast.models.registry import make_model, missing_package, model_names
from shelfcast.panel import CovariateTable, SalesPanel
from weights.tiny import tiny_weights

HORIZON = 7
DAYS = 330
ITEMS = 3
PLACES = {"Bergen": (60.4, 5.3), "Drammen": (59.7, 10.2), "Lyon": (45.8, 4.8), "Oslo": (59.9, 10.7)}
SERIES = ITEMS * len(PLACES)
CUTOFF = date(2024, 11, 15)
CHEAP: dict[str, dict[str, object]] = {"ets": {"context": 42}, "boosted": {"effort": "fast", "threads": 1},
                                          "spacetime": {"steps": 4, "width": 16, "heads": 2, "layers": 1}}


def quick(name: str) -> dict[str, object]:
    """Settings that make a slow learner quick, and tiny weights for a model that comes without any."""
    return {**CHEAP.get(name, {}), **tiny_weights(name)}


def whole(factor: float = 1.0, *, past: float = 1.0) -> SalesPanel:
    """330 days of three items in four places on the map; everything after the cutoff that is no known covariate is multiplied by
    `factor`, and what sold before it in Drammen, next to Oslo, by `past`."""
    rng = np.random.default_rng(7)
    when = [date(2024, 1, 1) + timedelta(days=t) for t in range(DAYS)]
    later = np.array([factor if d > CUTOFF else 1.0 for d in when])
    local = {place: np.exp(np.cumsum(rng.normal(0, 0.05, DAYS))) for place in PLACES}  # so that places are alike, more or less
    local["Drammen"] = local["Oslo"]
    parts, prices = [], []
    for i in range(ITEMS):
        for place in PLACES:
            promo = (rng.random(DAYS) < 0.2).astype(float)
            before = np.array([past if d <= CUTOFF and place == "Drammen" else 1.0 for d in when])
            sales = rng.poisson(8 * (i + 1) * (1 + promo) * local[place]) * before
            parts.append(pl.DataFrame({"item": f"item {i}", "location": place, "date": when, "sales": sales * later,
                                       "promo": promo, "visitors": sales * 3 * later}))
        prices.append(pl.DataFrame({"item": f"item {i}", "date": when, "price": (10 + rng.normal(0, 1, DAYS)) * later}))
    latitude, longitude = zip(*PLACES.values(), strict=True)
    places = pl.DataFrame({"location": list(PLACES), "latitude": latitude, "longitude": longitude})
    panel = SalesPanel.from_frame(pl.concat(parts), known=["promo"], past=["visitors"], freq="D", places=places)
    table = pl.concat(prices).select("item", panel.frequency.number_of(pl.col("date")).alias("period"), "price")
    return replace(panel, tables=(CovariateTable(table),), covariates={**panel.covariates, "price": "past"})


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.slow) if name == "language" else name for name in model_names()])
def name(request: pytest.FixtureRequest) -> str:
    package = missing_package(request.param)
    if package is not None:
        pytest.skip(f"the model {request.param} needs the package {package}, which is not installed")
    return str(request.param)


@pytest.mark.parametrize("factor", [0.0, 50.0])
def test_a_forecast_does_not_move_when_the_future_changes(name, factor):
    one, two = (cut(whole(f), CUTOFF) for f in (1.0, factor))
    before, after = (make_model(name, quick(name)).fit(p).predict(p, horizon=HORIZON) for p in (one, two))
    np.testing.assert_array_equal(before.quantiles, after.quantiles)
    np.testing.assert_array_equal(before.mean, after.mean)


def test_a_model_looks_at_nothing_past_the_cutoff_even_where_rows_were_left_there(name):
    honest = cut(whole(), CUTOFF)
    left = whole(50.0)  # sales, visitors and prices of the future, as if the cut had failed
    careless = replace(honest, rows=left.rows, tables=left.tables)
    before, after = (make_model(name, quick(name)).fit(p).predict(p, horizon=HORIZON) for p in (honest, careless))
    np.testing.assert_array_equal(before.quantiles, after.quantiles)


def test_what_a_place_sold_before_the_cutoff_does_move_its_neighbours_forecasts(name):
    """Else the exams above would say nothing of what is learned from other places."""
    if not make_model(name).traits.uses_places:
        pytest.skip("places do not enter its forecasts")
    one, two = (cut(whole(past=p), CUTOFF) for p in (1.0, 3.0))
    model = make_model(name, quick(name)).fit(one)
    in_oslo = (one.series["location"] == "Oslo").to_numpy()
    usual, moved = (model.predict(p, horizon=HORIZON).mean[in_oslo] for p in (one, two))
    assert not np.allclose(usual, moved, rtol=1e-4)


def test_a_replayed_window_shows_its_model_what_a_cut_panel_shows():
    panel = whole()
    window = next(windows(panel, horizon=HORIZON))
    assert window.past.fingerprint() == cut(panel, panel.cutoff - HORIZON).fingerprint()
    assert window.past.dense().sales.shape[1] == DAYS - HORIZON and window.truth().shape == (SERIES, HORIZON)
