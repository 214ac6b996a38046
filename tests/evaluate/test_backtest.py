"""The replay of the past: fitted on the past alone, measured as the plain functions measure, whatever the slices."""

from copy import deepcopy
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

import shelfcast.evaluate.backtest as replaying
from shelfcast.data.classes import demand_classes
from shelfcast.data.split import cut, windows
from shelfcast.errors import DataError, SettingsError
from shelfcast.evaluate import metrics
from shelfcast.evaluate.backtest import backtest
from shelfcast.models.base import Traits
from shelfcast.models.registry import make_model
from shelfcast.panel import SalesPanel

LEVELS = tuple(k / 10 for k in range(1, 10))


def chain(*, seed: int = 0, days: int = 120, closed: bool = False) -> SalesPanel:
    """Twelve series in three places: six sell daily, six now and then; one begins late; some days are missing."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(12):
        sales = rng.poisson(8 + i, days) * (1.0 if i % 2 else rng.random(days) < 0.3)
        for d in range(0 if i < 11 else days - 20, days):
            if rng.random() > 0.05:
                day = date(2024, 1, 1) + timedelta(days=d)
                opens = float(day.weekday() < 6)
                rows.append({"item": f"item {i // 3}", "location": f"place {i % 3}", "date": day, "open": opens,
                             "sales": float(sales[d]) * (opens if closed else 1)})
    return SalesPanel.from_frame(pl.DataFrame(rows), freq="D", known=["open"], closed_when="open" if closed else None)


class Watcher:
    """A model that notes what it was shown and forecasts the same number everywhere."""

    traits = Traits(name="watcher", summary="Notes what it is shown.")
    seen: list[tuple[int, float]] = []  # noqa: RUF012 (shared on purpose: the backtest works on copies)

    def fit(self, panel: SalesPanel) -> "Watcher":
        self.seen.append((panel.cutoff, float(np.nansum(panel.dense(horizon=5).sales))))
        return self

    def predict(self, panel, *, horizon, levels=LEVELS):
        return make_model("naive").fit(panel).predict(panel, horizon=horizon, levels=levels)


def test_scores_are_what_the_plain_measures_say_of_the_same_forecast():
    panel = chain()
    found = backtest(make_model("naive"), panel, horizon=14, levels=LEVELS).headline()
    (window,) = windows(panel, horizon=14)
    forecast = make_model("naive").fit(window.past).predict(window.past, horizon=14, levels=LEVELS)
    actual, levels = window.truth(), np.array(LEVELS)
    scale = metrics.seasonal_error(window.past.dense().sales, 7)
    median = forecast.at(0.5)
    expected = {"WAPE": metrics.wape(actual, median), "MASE": metrics.mase(actual, median, scale),
                "SQL": metrics.sql(actual, forecast.quantiles, levels, scale=scale),
                "WQL": metrics.wql(actual, forecast.quantiles, levels), "bias": metrics.bias(actual, forecast.mean)}
    assert {k: found[k]["model"] for k in expected} == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["class", "location", "step"])
def test_scores_of_groups_are_those_of_their_series_alone(kind):
    panel = chain()
    scores = backtest(make_model("naive"), panel, horizon=7, levels=LEVELS).scores
    (window,) = windows(panel, horizon=7)
    forecast = make_model("naive").fit(window.past).predict(window.past, horizon=7, levels=LEVELS)
    labels = demand_classes(window.past) if kind == "class" else window.past.series["location"]
    groups = scores.filter((pl.col("kind") == kind) & (pl.col("metric") == "WAPE"))
    assert groups.height >= 2
    for row in groups.iter_rows(named=True):
        at = (slice(None), int(row["group"]) - 1) if kind == "step" else (labels == row["group"]).to_numpy()
        actual, median = window.truth()[at], forecast.at(0.5)[at]
        assert row["value"] == pytest.approx(metrics.wape(actual, median), nan_ok=True)


def test_the_size_of_a_slice_changes_no_score(monkeypatch):
    whole = backtest(make_model("naive"), chain(), horizon=7, windows=2).scores
    monkeypatch.setattr(replaying, "CHUNK", 5)
    sliced = backtest(make_model("naive"), chain(), horizon=7, windows=2).scores
    assert sliced.drop("value").equals(whole.drop("value"))
    np.testing.assert_allclose(sliced["value"], whole["value"], rtol=1e-9)


def test_in_each_window_the_model_learns_from_its_past_alone_and_the_callers_model_stays_as_it_was():
    panel, model = chain(), make_model("naive")
    before = deepcopy(vars(model))
    Watcher.seen.clear()
    backtest(Watcher(), panel, horizon=10, windows=2, rival=model)
    assert [cutoff for cutoff, _ in Watcher.seen] == [panel.cutoff - 20, panel.cutoff - 10]
    assert [total for _, total in Watcher.seen] == [float(np.nansum(cut(panel, c).dense().sales)) for c, _ in Watcher.seen]
    assert set(vars(model)) == set(before) and not model.is_fitted_


def test_a_rival_is_measured_on_the_same_and_skill_compares_the_two():
    result = backtest(make_model("naive"), chain(), horizon=14, rival=make_model("naive", {"season": 1}))
    head = result.headline()
    assert head["WAPE"]["skill"] == pytest.approx(1 - head["WAPE"]["model"] / head["WAPE"]["rival"])
    assert result.rival == "naive" and set(result.scores["role"]) == {"model", "rival"}
    assert 0 <= head["coverage 0.1-0.9"]["model"] <= 1 and "skill" not in head["bias"]
    same = backtest(make_model("naive"), chain(), horizon=14, rival=make_model("naive")).headline()
    assert same["SQL"]["skill"] == pytest.approx(0)


def test_many_series_are_sampled_the_same_way_each_time_and_it_is_said():
    one, two = (backtest(make_model("naive"), chain(), horizon=7, max_series=5, seed=3) for _ in range(2))
    assert one.scores.equals(two.scores) and one.series == 5 and one.of_series == 12
    assert any("5 of 12 series were scored, drawn with seed 3" in text for text in one.told)
    other = backtest(make_model("naive"), chain(), horizon=7, max_series=5, seed=4)
    assert not other.scores.equals(one.scores)


def test_closed_days_are_not_measured():
    panel = chain(closed=True)
    scores = backtest(make_model("naive"), panel, horizon=14).scores
    steps = scores.filter((pl.col("kind") == "step") & (pl.col("metric") == "WAPE"))["group"].to_list()
    first = panel.frequency.date(panel.cutoff - 13)
    assert steps == [str(h + 1) for h in range(14) if (first + timedelta(days=h)).weekday() < 6]


def test_series_that_begin_in_the_window_are_not_scored_and_it_is_said():
    result = backtest(make_model("naive"), chain(), horizon=25)
    assert result.series == 11
    assert any("11 of 12 series were scored: those that had begun" in text for text in result.told)


def test_windows_without_anything_sold_or_known_are_borne():
    panel = chain()
    quiet = replace(panel, rows=panel.rows.with_columns(
        pl.when(pl.col("period") > panel.cutoff - 7).then(0.0).otherwise(pl.col("sales")).alias("sales")))
    head = backtest(make_model("naive"), quiet, horizon=7).headline()
    assert np.isnan(head["WAPE"]["model"]) and head["MASE"]["model"] > 0
    unknown = replace(panel, rows=panel.rows.with_columns(
        pl.when(pl.col("period") <= panel.cutoff - 7).then(pl.col("sales")).alias("sales")))
    with pytest.raises(DataError, match="Nothing is known of the sales in the last 7 periods"):
        backtest(make_model("naive"), unknown, horizon=7)


@pytest.mark.parametrize(("wrong", "words"), [({"levels": (0.1, 0.9)}, "must hold 0.5"), ({"max_series": 0}, "at least one series"),
                                              ({"windows": 99}, "need more than"), ({"horizon": 0}, "at least 1")])
def test_what_cannot_be_measured_is_refused(wrong, words):
    with pytest.raises(SettingsError, match=words):
        backtest(make_model("naive"), chain(), **{"horizon": 7, **wrong})


def test_levels_without_the_deciles_still_give_the_measures_they_allow():
    result = backtest(make_model("naive"), chain(), horizon=7, levels=(0.05, 0.5))
    head = result.headline()
    assert any("levels 0.5 alone" in text for text in result.told)
    assert head["WAPE"]["model"] > 0 and "coverage 0.1-0.9" not in head


@pytest.mark.data
def test_on_rossmann_the_seasonal_naive_forecast_has_the_error_that_is_known_of_it(public_data):
    table = pl.read_parquet(public_data / "rossmann" / "train.parquet").select(
        pl.col("Store").alias("location"), pl.col("Date").cast(pl.Date).alias("date"), pl.col("Sales").alias("sales"), "Open")
    panel = SalesPanel.from_frame(table, freq="D", known=["Open"])
    result = backtest(make_model("naive"), panel, horizon=48)
    assert result.headline()["WAPE"]["model"] == pytest.approx(0.206, abs=0.015)
