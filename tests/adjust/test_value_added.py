"""The value that overrides added: against figures worked out by hand, and intervals that say when there is nothing to see."""

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from adjust.override_cases import one, overrides, small
from shelfcast.adjust.override import apply
from shelfcast.adjust.override_table import read_overrides
from shelfcast.adjust.value_added import in_words, judge_moves, value_added
from shelfcast.errors import DataError
from shelfcast.forecast import Forecast
from shelfcast.periods import Frequency


def flat(mean: float = 10.0) -> Forecast:
    """A forecast of `mean` units with quantiles 0.8, 1 and 1.2 times that."""
    model = small(mean)
    quantiles = model.mean[:, :, None] * np.array([0.8, 1, 1.2])
    return Forecast(model.series, model.frequency, model.cutoff, model.levels, quantiles, model.mean)


def judged(actual, *rows):
    model = flat()
    made = apply(model, overrides(*rows))
    return judge_moves(model, made.forecast, made.ledger, actual=np.broadcast_to(np.asarray(actual, dtype=float), (6, 3)))


def test_errors_before_and_after_are_those_that_one_works_out_by_hand():
    table = judged(12.0, one("factor", 1.1, item="apple"), one("value", 5, item="bread", location="north", who="bob", why="gut"))
    added = {(b, g): row for b, g, row in ((r["by"], r["group"], r) for r in value_added(table).to_dicts())}
    whole, ann, bob = added["all", "all"], added["who", "ann"], added["who", "bob"]
    assert (whole["overrides"], whole["series"], whole["periods"], whole["moved"]) == (2, 3, 3, pytest.approx(7))
    assert (ann["error before"], ann["error after"], ann["value added"]) == (4, pytest.approx(2), pytest.approx(0.5))
    assert (bob["error before"], bob["error after"], bob["value added"]) == (2, 7, -2.5)
    assert (bob["bias before"], bob["bias after"]) == (pytest.approx(-2 / 12), pytest.approx(-7 / 12))
    assert (ann["nearer"], bob["nearer"]) == (1, 0)
    assert added["direction", "up"]["value added"] == pytest.approx(0.5) and added["direction", "down"]["value added"] == -2.5
    assert added["size", "10 to 30 %"]["periods"] == 2 and added["size", "30 to 100 %"]["periods"] == 1
    assert added["why", "gut"]["error after"] == 7 and added["kind", "factor"]["periods"] == 2


def test_losses_are_twice_the_pinball_loss_over_the_deciles():
    table = judged(12.0, one("lock", 11, item="apple", location="north"))
    # quantiles 8, 10, 12 at 0.1, 0.5, 0.9 and sales of 12: 0.4, 1, 0; afterwards 11 at all: 0.1, 0.5, 0.9
    assert table["loss before"].item() == pytest.approx(2 * 1.4 / 3) and table["loss after"].item() == pytest.approx(2 * 1.5 / 3)


def test_periods_whose_sales_are_not_known_are_left_out_and_nothing_is_said_of_none():
    table = judged(np.nan, one("factor", 1.1))
    assert not table.height and not value_added([table, table]).height
    assert in_words(value_added(table)) == "No override fell into a period whose sales are known, so none was measured."


def test_one_judgement_of_many_series_is_no_evidence_of_many():
    added = value_added(judged(12.0, one("factor", 1.1))).row(0, named=True)
    assert (added["overrides"], added["series"], added["resampled"]) == (1, 6, "series")
    rows = [one("factor", 1.1, item="apple", location="north", first=date(2024, 3, 5 + k)) for k in range(3)]
    few = value_added(judged(12.0, *rows)).row(0, named=True)
    assert few["low"] is None and few["resampled"] is None, "three overrides of one series say too little for an interval"


def many(better: float, n: int = 300, seed: int = 1) -> pl.DataFrame:
    """Overrides of n series that know `better` of what the model does not, and a noise of their own."""
    rng = np.random.default_rng(seed)
    daily = Frequency.parse("D")
    series = pl.DataFrame({"item": np.arange(n), "location": 1})
    mean = np.full((n, 1), 100.0)
    model = Forecast(series, daily, daily.number(date(2024, 3, 4)), (0.5,), mean[:, :, None], mean)
    actual = mean + rng.normal(0, 20, (n, 1))
    wanted = mean + better * (actual - mean) + rng.normal(0, 20 * (1 - better), (n, 1))
    rows = pl.DataFrame({"item": np.arange(n), "location": 1, "first": date(2024, 3, 5), "kind": "value", "amount": wanted[:, 0],
                         "who": "ann", "when": datetime(2024, 3, 1), "why": "knows"})
    made = apply(model, read_overrides(rows))
    return judge_moves(model, made.forecast, made.ledger, actual=actual)


def test_the_interval_holds_the_truth_and_leaves_zero_out_where_a_planner_knows_more():
    good = value_added(many(0.8)).row(0, named=True)
    assert 0 < good["low"] < good["value added"] < good["high"] < 1 and good["resampled"] in ("overrides", "series")
    assert in_words(value_added(many(0.8))).endswith("not by chance).")


def test_a_planner_who_only_adds_noise_makes_it_worse_and_that_is_said():
    bad = value_added(many(0.0)).row(0, named=True)
    assert bad["low"] < bad["value added"] < bad["high"] < 0 and "larger" in in_words(value_added(many(0.0)))


def test_a_planner_who_changes_nothing_adds_nothing():
    table = many(0.5).with_columns(pl.col("error before").alias("error after"), pl.col("before").alias("after"))
    one_row = value_added(table).row(0, named=True)
    assert (one_row["value added"], one_row["low"], one_row["high"], one_row["nearer"]) == (0, 0, 0, 0.5)
    assert value_added(table, by=["direction"])["group"].to_list() == ["same"]


def test_intervals_of_95_percent_hold_the_truth_about_so_often():
    # The truth is the value added in a very large panel; sixty small panels are asked for it.
    truth = value_added(many(0.5, n=40_000, seed=99), by=["all"])["value added"].item()
    found = [value_added(many(0.5, n=40, seed=s), by=["all"]).row(0, named=True) for s in range(60)]
    assert sum(f["low"] <= truth <= f["high"] for f in found) >= 52


def test_rare_reasons_are_put_together():
    table = many(0.5)
    table = table.with_columns(why=pl.Series([f"reason {k}" for k in range(table.height)]))
    added = value_added(table, by=["why"])
    assert added.height == 25 and "others" in added["group"].to_list() and added["periods"].sum() == 300


def test_forecasts_that_do_not_belong_together_are_refused():
    model = flat()
    made = apply(model, overrides(one("factor", 2)))
    with pytest.raises(DataError, match="other series, periods or levels"):
        judge_moves(model.select([0]), made.forecast, made.ledger, actual=np.zeros((6, 3)))


def test_a_ledger_of_more_than_the_forecast_is_judged_where_they_meet():
    model = flat()
    made = apply(model, overrides(one("factor", 2)))
    part = judge_moves(model.select([1, 2]), made.forecast.select([1, 2]), made.ledger, actual=np.full((2, 3), 20.0))
    assert part.select("item", "location").rows() == [("apple", "south"), ("bread", "north")]
    assert part["error after"].to_list() == [0, 0]
