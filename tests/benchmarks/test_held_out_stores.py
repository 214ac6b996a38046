"""Stores that are left out: really out, and measured against the mean of their region."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from shelfcast.data.split import cut
from shelfcast.models.registry import make_model
from shelfcast.panel import PERIOD, SERIES, SalesPanel

ROOT = Path(__file__).resolve().parent.parent.parent
WEEKS = 60


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, found as the benchmark finds it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("held_out_stores")


def panel_of(*, changed: Sequence[int] = (), absent: str = "zero") -> SalesPanel:
    """Twenty stores in four regions, two categories; `changed` stores sold something else altogether."""
    random = np.random.default_rng(0)
    level = np.exp(random.normal(3.0, 0.5, (20, 2)))
    sold = random.poisson(level[:, :, None], (20, 2, WEEKS)).astype(float)
    for store in changed:
        sold[store] = 5_000.0
    store, item, week = (axis.ravel() for axis in np.indices(sold.shape))
    first = date(2023, 1, 2)
    table = pl.DataFrame({"location": store, "item": np.array(["rum", "gin"])[item], "sales": sold.ravel(),
                          "date": [first + timedelta(7 * int(w)) for w in week], "price": 9.0 + week % 3})
    places = pl.DataFrame({"location": np.arange(20), "latitude": 41 + np.arange(20) / 10, "longitude": -93.0 + np.zeros(20),
                           "zone": [f"z{s % 4}" for s in range(20)]})
    panel = SalesPanel.from_frame(table, freq="W", known=["price"], absent=absent, places=places)  # type: ignore[arg-type]
    return replace(panel, covariates={**panel.covariates, "zone": "static"})


def test_a_tenth_of_the_stores_is_drawn_by_seed_with_all_that_they_sell(stores):
    panel = panel_of()
    out = stores.held_out(panel, seed=1)
    named = panel.series.filter(pl.Series(out))
    assert named["location"].n_unique() == 2 and named.height == 4
    assert set(panel.series.filter(pl.Series(~out))["location"]) & set(named["location"]) == set()
    assert (stores.held_out(panel, seed=1) == out).all()
    assert any((stores.held_out(panel, seed=s) != out).any() for s in range(2, 6))


@pytest.mark.parametrize("absent", ["zero", "missing"])
def test_a_store_that_is_left_out_has_its_place_and_no_sales_at_all(stores, absent):
    whole = panel_of(absent=absent)
    panel = cut(whole, whole.cutoff - 4)
    out = stores.held_out(panel)
    bare = stores.without_sales(panel, out)
    dense, before = bare.dense(), panel.dense()
    assert np.isnan(dense.sales[out]).all()
    np.testing.assert_array_equal(dense.sales[~out], before.sales[~out])
    assert (bare.series["start"].to_numpy()[out] == panel.cutoff).all()
    np.testing.assert_array_equal(dense.static["zone"], before.static["zone"])
    keys = bare.rows.select(SERIES, PERIOD)
    assert keys.equals(keys.sort(SERIES, PERIOD)) and not keys.is_duplicated().any()
    made = make_model("profile").fit(panel.select(~out)).predict(bare, horizon=4)
    assert made.series.height == 40 and np.isfinite(made.mean).all()


class Spy:
    """A model that remembers what it was shown, and forecasts as the profile does."""

    def __init__(self) -> None:
        self.inner = make_model("profile", {"horizon": 4})
        self.traits = self.inner.traits
        self.fitted: list[SalesPanel] = []
        self.asked: list[SalesPanel] = []

    def fit(self, panel: SalesPanel) -> "Spy":
        self.fitted.append(panel)
        self.inner.fit(panel)
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float]):
        self.asked.append(panel)
        return self.inner.predict(panel, horizon=horizon, levels=levels)


def judged(stores: ModuleType, panel: SalesPanel, out: np.ndarray):
    one = stores.SpaceSet("made up", panel, 4, 3, "zone")
    spy = Spy()
    return stores.judge(one, spy, out), spy


def test_what_held_out_stores_sold_reaches_neither_the_model_nor_the_mean_of_their_region(stores):
    panel = panel_of()
    out = stores.held_out(panel)
    gone = panel.series.filter(pl.Series(out))["location"].unique().to_list()
    found, spy = judged(stores, panel, out)
    other, spy_other = judged(stores, panel_of(changed=gone), out)
    assert len(spy.fitted) == 1 and not set(spy.fitted[0].series["location"]) & set(gone)
    assert len(spy.asked) == 3
    for one, two in zip([*spy.fitted, *spy.asked], [*spy_other.fitted, *spy_other.asked], strict=True):
        assert one.fingerprint() == two.fingerprint()  # the same panels, whatever the held-out stores sold
    # They are judged by it, though: the truth is another one, and all miss it.
    assert other.wql("region") > 0.9 > found.wql("region")
    assert found.losses["model"].shape == (3, 4)
    assert found.skill("model", "region").value == pytest.approx(1 - found.wql("model") / found.wql("region"))


def test_a_forecast_for_what_did_not_sell_costs_too(stores):
    sold = np.array([[10.0, 0.0], [10.0, 0.0]])
    losses = {"model": np.array([[2.0, 4.0], [2.0, 4.0]]), "region": np.array([[2.0, 0.0], [2.0, 0.0]])}
    judged = stores.Judged(losses, sold, np.array([0, 1]))
    assert judged.wql("model") == pytest.approx(0.6) and judged.skill("model", "region").value == pytest.approx(-2.0)


def test_the_mean_of_a_region_is_that_of_its_known_stores_and_else_of_all(stores):
    values = np.array([[1.0, 10.0], [3.0, 30.0], [100.0, 100.0], [7.0, 70.0], [100.0, 100.0]])
    known = np.array([True, True, False, True, False])
    fine = np.array([0, 0, 0, 1, 2])  # the last one's region has no known store
    found = stores.region_mean(values, known, (fine, np.zeros(5, dtype=np.int64)))
    np.testing.assert_allclose(found[2], [2.0, 20.0])
    np.testing.assert_allclose(found[4], [11 / 3, 110 / 3])


def test_the_past_of_a_region_is_that_of_its_known_stores_and_else_of_all(stores):
    past = np.array([[1.0, 2.0, np.nan], [3.0, 4.0, 5.0], [900.0, 900.0, 900.0], [11.0, 11.0, 11.0], [900.0, 900.0, 900.0]])
    known = np.array([True, True, False, True, False])
    groups = np.array([0, 0, 0, 1, 2]), np.zeros(5, dtype=np.int64)
    found = stores.region_past(past, known, groups, (0.5,))
    assert found[2, 0] == 3.0  # of 1, 2, 3, 4, 5
    assert found[4, 0] == np.median([1, 2, 3, 4, 5, 11, 11, 11])


def test_regions_are_told_apart_category_by_category(stores):
    panel = panel_of()
    fine, coarse = stores.region_groups(panel, np.ones(40, dtype=bool), "zone")
    table = panel.series.with_columns(pl.Series("fine", fine), pl.Series("coarse", coarse))
    assert table["fine"].n_unique() == 8 and table["coarse"].n_unique() == 2
    assert table.group_by("fine").agg(pl.col("item").n_unique(), (pl.col("location") % 4).n_unique())["location"].max() == 1
