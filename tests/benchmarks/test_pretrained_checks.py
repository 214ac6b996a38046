"""The checks of the pretrained model, held against models and worlds whose answers are known."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from scipy.stats import poisson

from shelfcast.data.split import cut
from shelfcast.forecast import Forecast
from shelfcast.models.base import Traits
from shelfcast.models.registry import make_model
from shelfcast.names import DATE, ITEM, LEVELS, LOCATION, PROMO
from shelfcast.panel import SalesPanel
from shelfcast.world.blueprint import ChainSettings, Stocking
from shelfcast.world.chain import demo_chain

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Modules, found as the benchmarks find them."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module


class Knows:
    """A model that says a table's value of item, location and date, at every level and as the mean."""

    traits = Traits(name="knows", summary="knows")

    def __init__(self, table: pl.DataFrame, column: str, times: float = 1.0) -> None:
        self.table, self.column, self.times = table, column, times

    def fit(self, panel: SalesPanel) -> "Knows":
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        days = [panel.frequency.date(panel.cutoff + 1 + h) for h in range(horizon)] * len(panel)
        keys = panel.series.select(ITEM, LOCATION)[np.repeat(np.arange(len(panel)), horizon)].with_columns(pl.Series(DATE, days))
        said = keys.join(self.table, on=[ITEM, LOCATION, DATE], how="left", maintain_order="left")[self.column]
        mean = self.times * said.fill_null(0.0).to_numpy().reshape(len(panel), horizon)
        return Forecast(panel.series.select(ITEM, LOCATION), panel.frequency, panel.cutoff, tuple(levels),
                        np.repeat(mean[:, :, None], len(levels), axis=2), mean)


def shop(periods: int = 80) -> SalesPanel:
    """Four items in two categories at two places, by day, with a promotion that sells half as much again."""
    random = np.random.default_rng(0)
    item, place, day = (axis.ravel() for axis in np.indices((4, 2, periods + 14)))
    promo = (day // 5 + item) % 4 == 0
    sold = random.poisson(np.array([3.0, 4.0, 20.0, 25.0])[item] * (1 + 0.5 * promo)).astype(float)
    table = pl.DataFrame({"item": np.array(["apple", "berry", "cream", "dough"])[item], "location": np.array(["X", "Y"])[place],
                          "date": [date(2024, 1, 1) + timedelta(int(d)) for d in day], "promo": promo.astype(float),
                          "sales": np.where(day < periods, sold, np.nan)})
    items = pl.DataFrame({"item": ["apple", "berry", "cream", "dough"], "category": ["fruit", "fruit", "dairy", "dairy"]})
    panel = SalesPanel.from_frame(table, freq="D", known=["promo"], items=items)
    return replace(panel, covariates={**panel.covariates, "category": "static"})


# -- calibration --------------------------------------------------------------------------------------------------------


def test_the_true_law_of_counts_is_calibrated_though_most_of_them_are_nought(part):
    module = part("checks_calibration")
    random, levels = np.random.default_rng(1), tuple(k / 100 for k in range(1, 100))
    rate = random.uniform(0.05, 4.0, (400, 30))
    truth = random.poisson(rate).astype(float)
    quantiles = poisson.ppf(np.array(levels), rate[..., None])
    shares = module.shares_below(truth, quantiles, levels, (0.1, 0.5, 0.9)).mean(axis=0)
    np.testing.assert_allclose(shares, (0.1, 0.5, 0.9), atol=0.012)
    assert (truth == 0).mean() > 0.2  # a plain share at or below the lowest quantile would be twice that
    too_low = module.shares_below(truth, np.floor(quantiles / 2), levels, (0.5,)).mean()
    assert too_low < 0.3


def test_without_ties_a_truth_is_below_a_level_or_it_is_not(part):
    module = part("checks_calibration")
    quantiles = np.array([[[1.0, 2.0, 3.0]]])
    levels = (0.1, 0.5, 0.9)
    for truth, below in ((0.5, (1, 1, 1)), (1.5, (0, 1, 1)), (2.5, (0, 0, 1)), (9.0, (0, 0, 0))):
        np.testing.assert_array_equal(module.shares_below(np.array([[truth]]), quantiles, levels, levels), [below])
    assert module.shares_below(np.array([[np.nan]]), quantiles, levels, (0.5,)).shape == (0, 1)
    (tied,) = module.shares_below(np.zeros((1, 1)), np.array([[[0.0, 0.0, 4.0]]]), (0.2, 0.4, 0.8), (0.2, 0.4, 0.8))
    np.testing.assert_allclose(tied, (0.2 / 0.6, 0.4 / 0.6, 1.0))


# -- covariates ---------------------------------------------------------------------------------------------------------


def test_hidden_means_that_nothing_known_is_left_and_no_sale_is_touched(part):
    panel = shop()
    bare = part("figures").without_known(panel)
    assert dict(bare.covariates) == {"category": "static"} and bare.horizon_given() == 0
    np.testing.assert_array_equal(bare.dense().sales, panel.dense().sales)


def test_an_irrelevant_covariate_is_known_ahead_and_moves_no_model_that_does_not_look(part):
    module, panel = part("checks_covariates"), shop()
    noisy = module.with_noise(panel, 14, seed=3, count=3)
    added = set(noisy.covariates) - set(panel.covariates)
    assert len(added) == 3 and all(noisy.given(name, 14).all() for name in added)
    assert set(module.with_noise(panel, 14, seed=3, count=1).covariates) - set(panel.covariates) < added
    np.testing.assert_array_equal(module.moves(lambda h: make_model("naive"), panel, 14, draws=2, count=1), 0.0)

    class Fooled(Knows):
        def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
            made = super().predict(panel, horizon=horizon, levels=levels)
            return replace(made, quantiles=made.quantiles + 3.0 + 0.3 * (len(panel.covariates) > 2), mean=made.mean)

    table = panel.to_frame().select(ITEM, LOCATION, DATE).with_columns(pl.lit(0.0).alias("said"))
    np.testing.assert_allclose(module.moves(lambda h: Fooled(table, "said"), panel, 14, draws=2, count=1), 0.1)


def test_losses_of_windows_stand_beside_those_of_the_same_series(part):
    series = pl.DataFrame({"item": ["a", "b"], "location": ["X", "X"]})
    out = part("figures").laid_out({"ours": [(series[1:], np.array([5.0])), (series, np.array([1.0, 2.0]))]})
    np.testing.assert_array_equal(out["ours"], [[np.nan, 5.0], [1.0, 2.0]])


# -- uplift -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", ["stores", "grocery"])
def test_the_two_lives_of_a_world_share_their_past_and_differ_where_the_calendar_does(part, regime):
    module = part("checks_uplift")
    seed = module.UNSEEN
    lives = {on: module.lived(seed, regime, on=on) for on in (True, False)}
    cutoff = lives[True].panel.cutoff - module.DAYS
    past = {on: cut(world.panel, cutoff).dense(covariates=()).sales for on, world in lives.items()}
    np.testing.assert_array_equal(past[True], past[False])
    ahead = {on: world.panel.dense(context=module.DAYS, covariates=(PROMO,)).known[PROMO] for on, world in lives.items()}
    forced = (ahead[True] == 1) & (ahead[False] == 0)
    expected = {on: module.lived(seed, regime, on=on, expected=True).truth[:, -module.DAYS:] for on in (True, False)}
    if regime == "stores":
        assert forced.mean() > 0.5
    else:
        assert 0.05 < forced.all(axis=1).mean() < 0.6  # a third of the items
        assert np.isfinite(expected[True]).any() and (np.mod(np.nan_to_num(expected[True]), 1) > 0).any()  # not counts
    gain = np.nansum(np.where(forced, expected[True] - expected[False], 0.0))
    assert gain > 0
    if regime == "stores":  # where the calendar is the same, so is what was sold, but for what follows a promotion
        same = (ahead[True] == ahead[False]) & np.isfinite(expected[True])
        assert same.sum() == 0 or np.nanmedian(np.abs(expected[True] - expected[False])[same] / expected[True][same]) < 0.2
    # The world as it is drawn elsewhere is not touched.
    assert importlib.import_module("shelfcast.world.regimes.stores").promotion_weeks.__module__ == "shelfcast.world.patterns"


def test_who_knows_what_comes_is_told_a_correlation_of_one(part):
    module = part("checks_uplift")
    true = (np.array([0.0, 0.2, 0.5]), np.ones(2))
    value, low, high = module.correlation([module.Uplifts(one, 0.1 + 0.5 * one) for one in (*true, *true)])
    assert (value, low, high) == pytest.approx((1.0, 1.0, 1.0))
    wrong = [module.Uplifts(true[0], 0.1 + 0.5 * true[0]), module.Uplifts(true[0], 0.5 - true[0])]
    value, low, high = module.correlation([*wrong, *wrong])
    assert low < value < high <= 1.0 and value < 0.9


# -- regimes ------------------------------------------------------------------------------------------------------------


def test_an_item_that_is_shown_as_new_has_as_many_sales_as_are_left_and_its_future(part):
    module, panel = part("checks_regimes"), shop()
    out = (panel.series[ITEM] == "apple").to_numpy()
    for points in (0, 3):
        told = module.as_new(panel, out, points)
        sales = told.dense().sales
        assert (np.isfinite(sales[out]).sum(axis=1) == points).all()
        np.testing.assert_array_equal(sales[~out], panel.dense().sales[~out])
        assert told.given("promo", 14).all()


def test_a_category_keeps_items_whose_past_is_known(part):
    module, panel = part("checks_regimes"), shop()
    assert panel.items is not None
    drawn = [module.drawn_items(panel.items, share=0.9, seed=seed) for seed in range(4)]
    assert all(len(some & {"apple", "berry"}) == 1 and len(some & {"cream", "dough"}) == 1 for some in drawn)
    assert len({frozenset(some) for some in drawn}) > 1
    known = (panel.series[ITEM] != "apple").to_numpy()
    fine, coarse = module.category_codes(panel.series, panel.items, known)
    same = panel.series.with_columns(pl.Series("fine", fine))
    assert len(set(coarse)) == 2
    by = {(i, p): f for i, p, f in same.select(ITEM, LOCATION, "fine").rows()}
    assert by["apple", "X"] == by["berry", "X"] != by["apple", "Y"] and by["cream", "X"] == by["dough", "X"]
    with pytest.raises(ValueError, match="category"):
        module.category_codes(panel.series, panel.items, panel.series[ITEM].is_in(["cream", "dough"]).to_numpy())


def test_new_items_are_judged_by_what_they_sold_beside_both_means_of_their_category(part):
    module, panel = part("checks_regimes"), shop()
    figures = module.new_items(lambda h: make_model("profile", {"horizon": h}), sets={"shop": lambda: panel}, count=1, share=0.5,
                               points=(0,))
    told = {f.measure: f.value for f in figures}
    assert set(told) == {"WQL ours, no past", "WQL model, no past", "WQL past, no past",
                         "skill over mean of the category's forecasts, no past", "skill over what the category sold, no past"}
    for who, rival in (("model", "mean of the category's forecasts"), ("past", "what the category sold")):
        expected = 1 - told["WQL ours, no past"] / told[f"WQL {who}, no past"]
        assert told[f"skill over {rival}, no past"] == pytest.approx(expected)


def test_who_forecasts_demand_has_no_bias_and_who_forecasts_recorded_sales_has(part):
    module = part("checks_regimes")
    chain = demo_chain(ChainSettings(places=3, items=6, days=240, horizon=14, stocking=Stocking(safety=-1.0, fails=0.3)))
    knows = {f.measure: f for f in module.sold_out(lambda h: Knows(chain.truth.days, "demand"), count=2, chain=chain)}
    assert knows[module.BIAS_SOLD_OUT].value == pytest.approx(0.0, abs=1e-9)
    assert knows[module.BIAS_SOLD_OUT].series > 0
    high = {f.measure: f for f in module.sold_out(lambda h: Knows(chain.truth.days, "demand", 1.1), count=2, chain=chain)}
    assert high[module.BIAS_SOLD_OUT].value == pytest.approx(0.1) and high[module.BIAS_SOLD_OUT].low == pytest.approx(0.1)
    sold = {f.measure: f for f in module.sold_out(lambda h: Knows(chain.history, "sales"), count=2, chain=chain)}
    assert sold[module.BIAS_SOLD_OUT].value < -0.01


def test_without_empty_shelves_the_past_is_what_was_wanted_and_nothing_tells_of_stock(part):
    module = part("checks_regimes")
    chain = demo_chain(ChainSettings(places=2, items=4, days=200, horizon=14, stocking=Stocking(safety=-1.0, fails=0.3)))
    panel = importlib.import_module("space_sets").panel_of(chain, by=ITEM)
    full = module.as_wanted(panel, module.wanted(chain))
    sold, wanted = panel.dense(covariates=()).sales, full.dense(covariates=()).sales
    np.testing.assert_array_equal(np.isfinite(sold), np.isfinite(wanted))
    assert np.nansum(wanted) > 1.02 * np.nansum(sold) and not np.nanmin(wanted - sold) < 0
    assert "past" not in full.covariates.values()
    np.testing.assert_array_equal(full.given("price", 14), panel.given("price", 14))


# -- rows ---------------------------------------------------------------------------------------------------------------


def test_a_bar_reads_the_newest_row_of_todays_weights_and_no_other(part, tmp_path):
    module = part("bars_pretrained")
    rows = pl.DataFrame({"weights": ["tiny 11111111", "tiny 22222222", "tiny 22222222"], "share": [None, None, 0.5],
                         "value": [0.1, 0.2, 0.3]})
    rows.write_csv(tmp_path / "kept.csv")
    assert module.newest("kept", {"weights": "tiny 22222222"}, tmp_path)["value"] == 0.3
    assert module.newest("kept", {"weights": "tiny 22222222", "share": None}, tmp_path)["value"] == 0.2
    assert module.newest("kept", {"weights": "tiny 33333333"}, tmp_path) is None
    assert module.newest("kept", {"other": 1}, tmp_path) is None and module.newest("absent", {}, tmp_path) is None


def test_every_bar_of_a_check_is_the_name_of_a_figure(part):
    regimes = part("checks_regimes")
    bars = part("bars_pretrained")
    assert {sense for _, sense, _, _ in bars.BARS} <= set(part("bars").HOLDS)
    assert len({name for name, _, _, _ in bars.BARS}) == len(bars.BARS)
    assert regimes.told_of(0) == ", no past" and regimes.told_of(3) == ", 3 periods known"
