"""Overrides on a forecast: what each kind does, who wins, how totals are shared, and what never changes."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adjust.override_cases import CUTOFF, ITEMS, PLACES, one, overrides, small
from shelfcast.adjust.moving import Shapes
from shelfcast.adjust.override import apply, decide_moves
from shelfcast.adjust.override_table import read_overrides
from shelfcast.errors import DataError
from shelfcast.forecast import Forecast
from shelfcast.periods import Frequency

APPLE_NORTH = {"item": "apple", "location": "north"}


def applied(forecast, *rows):
    return apply(forecast, overrides(*rows), items=ITEMS, places=PLACES)


def test_a_value_scales_the_whole_distribution_to_it():
    model = small()
    made = applied(model, one("value", 1.5 * model.mean[0, 0], **APPLE_NORTH)).forecast
    np.testing.assert_allclose(made.mean[0, 0], 1.5 * model.mean[0, 0])
    np.testing.assert_allclose(made.quantiles[0, 0], 1.5 * model.quantiles[0, 0])
    assert np.array_equal(made.mean[1:], model.mean[1:]) and np.array_equal(made.quantiles[0, 1:], model.quantiles[0, 1:])


def test_a_factor_multiplies_everything_that_it_is_about():
    model = small()
    made = applied(model, one("factor", 0.5, category="food", last=date(2024, 3, 6))).forecast
    np.testing.assert_allclose(made.quantiles[:4, :2], 0.5 * model.quantiles[:4, :2])
    np.testing.assert_allclose(made.mean[:4, :2], 0.5 * model.mean[:4, :2])
    assert np.array_equal(made.quantiles[4:], model.quantiles[4:]) and np.array_equal(made.quantiles[:, 2], model.quantiles[:, 2])


def test_what_is_added_moves_the_distribution_and_what_is_taken_leaves_nothing_below_zero():
    model = small()
    more = applied(model, one("add", 4, **APPLE_NORTH)).forecast
    np.testing.assert_allclose(more.quantiles[0, 0], model.quantiles[0, 0] + 4)
    less = applied(model, one("add", -0.5 * model.mean[0, 0], **APPLE_NORTH)).forecast
    np.testing.assert_allclose(less.quantiles[0, 0], np.maximum(model.quantiles[0, 0] - 0.5 * model.mean[0, 0], 0))
    nothing = applied(model, one("add", -1e6, **APPLE_NORTH)).forecast
    assert nothing.mean[0, 0] == 0 and (nothing.quantiles[0, 0] == 0).all()


def test_a_lock_leaves_no_doubt():
    made = applied(small(), one("lock", 7, **APPLE_NORTH)).forecast
    assert made.mean[0, 0] == 7 and (made.quantiles[0, 0] == 7).all()


def test_a_value_of_several_series_is_their_total_shared_by_the_means():
    model = small()
    made = applied(model, one("value", 100, location="south")).forecast
    np.testing.assert_allclose(made.mean[1::2, 0], 100 * model.mean[1::2, 0] / model.mean[1::2, 0].sum())
    assert np.array_equal(made.mean[::2], model.mean[::2])


def test_a_total_to_add_is_shared_by_the_means_too():
    model = small()
    made = applied(model, one("add", 60, region="warm")).forecast
    np.testing.assert_allclose(made.mean[1::2, 0] - model.mean[1::2, 0], 60 * model.mean[1::2, 0] / model.mean[1::2, 0].sum())


def test_where_all_means_are_nought_a_total_is_shared_equally():
    assert applied(small(0.0), one("value", 30, location="south")).forecast.mean[:, 0].tolist() == [0, 10, 0, 10, 0, 10]


def test_a_value_where_the_model_expects_nothing_takes_the_shape_of_series_of_that_size():
    mean = np.full((6, 3), 8.0)
    mean[0, 0] = 0.0
    model = small(mean)
    made = applied(model, one("value", 9, **APPLE_NORTH)).forecast
    others = np.delete(model.quantiles.reshape(18, 3), 0, axis=0)
    np.testing.assert_allclose(made.quantiles[0, 0], 9 * others.mean(axis=0) / 8.0)


def test_the_shape_of_a_tiny_mean_is_not_blown_up_to_a_large_value():
    mean = np.full((6, 3), 8.0)
    mean[0, 0] = 0.05
    model = small(mean)
    quantiles = model.quantiles.copy()
    quantiles[0, 0] = [0, 0, 1]
    made = applied(Forecast(model.series, model.frequency, model.cutoff, model.levels, quantiles, model.mean),
                   one("value", 10, **APPLE_NORTH)).forecast
    assert made.quantiles[0, 0, 1] > 2 and made.quantiles[0, 0, 2] < 30


def test_a_forecast_of_nothing_at_all_can_be_overridden_with_certainty():
    assert applied(small(0.0), one("value", 9, **APPLE_NORTH)).forecast.quantiles[0, 0].tolist() == [9, 9, 9]


@pytest.mark.parametrize("turn", [1, -1])
def test_the_later_word_stands_whatever_the_order_of_the_file_and_it_is_told(turn):
    rows = [one("value", 20, item="apple", when=datetime(2024, 3, 2), who="bob"), one("value", 10, **APPLE_NORTH)]
    made = applied(small(), *rows[::turn])
    assert made.ledger["who"].unique().to_list() == ["bob"] and made.forecast.mean[:2, 0].sum() == pytest.approx(20)
    assert any("before 1 override, in 1 periods; before #" in sentence and "of ann" in sentence for sentence in made.told)


def test_a_lock_stands_before_a_later_word():
    made = applied(small(), one("lock", 7, **APPLE_NORTH), one("factor", 2, when=datetime(2024, 3, 3), who="bob"))
    assert made.forecast.mean[0, 0] == 7 and made.ledger["who"].to_list() == ["ann", *["bob"] * 5]


def test_what_is_locked_counts_towards_a_total_and_a_later_override_changes_it():
    model = small()
    rows = [one("value", 100, location="south"), one("lock", 30, item="apple", location="south")]
    made = applied(model, *rows).forecast
    assert made.mean[1, 0] == 30 and made.mean[1::2, 0].sum() == pytest.approx(100)
    later = one("value", 50, item="bread", location="south", when=datetime(2024, 3, 2))
    changed = applied(model, *rows, later).forecast
    assert changed.mean[3, 0] == 50 and changed.mean[5, 0] == pytest.approx(made.mean[5, 0])


def test_more_locked_than_the_total_leaves_nothing_for_the_others():
    made = applied(small(), one("value", 10, item="apple"), one("lock", 30, item="apple", location="south")).forecast
    assert made.mean[:2, 0].tolist() == [0, 30] and (made.quantiles[0, 0] == 0).all()


def test_locks_within_locks_are_settled_from_the_latest_back():
    made = applied(small(), one("lock", 60, location="south"), one("lock", 20, item="apple", when=datetime(2024, 3, 2))).forecast
    assert made.mean[:2, 0].sum() == pytest.approx(20) and made.mean[1::2, 0].sum() == pytest.approx(60)


def test_the_ledger_says_what_was_moved_and_by_whom():
    model = small()
    row = applied(model, one("value", 9, **APPLE_NORTH, id="x", why="fair")).ledger.row(0, named=True)
    assert row == {"item": "apple", "location": "north", "date": date(2024, 3, 5), "kind": "value", "before": model.mean[0, 0],
                   "after": 9.0, "override": "x", "who": "ann", "when": datetime(2024, 3, 1), "why": "fair"}


def test_overrides_of_other_days_do_nothing_and_are_counted():
    model = small()
    made = applied(model, one("value", 9, first=CUTOFF), one("value", 9, first=date(2024, 3, 8)))
    assert np.array_equal(made.forecast.quantiles, model.quantiles) and not made.ledger.height
    assert "Of 2 overrides, 2 speak of other days than are forecast." in made.told


def test_an_override_of_a_pair_that_is_not_sold_is_told_and_no_error():
    model = small().select([0, 1, 2])
    made = apply(model, overrides(one("value", 9, item="bread", location="south")), known=small().series)
    assert not made.ledger.height and "of nothing that is forecast; the first, #1: item bread, location south" in made.told[0]


def test_a_range_that_reaches_beyond_the_forecast_is_used_where_it_lies_within():
    made = applied(small(), one("lock", 1, **APPLE_NORTH, first=date(2024, 1, 1), last=date(2024, 3, 6)))
    assert made.forecast.mean[0].tolist()[:2] == [1, 1] and made.ledger.height == 2


def test_a_day_stands_for_the_week_it_lies_in_and_for_all_its_hours():
    weekly = applied(small(freq="W-MON"), one("lock", 1, **APPLE_NORTH, first=date(2024, 3, 14))).ledger
    assert weekly["date"].to_list() == [date(2024, 3, 11)]
    hourly = small(freq="h", horizon=30)
    hours = applied(hourly, one("lock", 1, **APPLE_NORTH, first=date(2024, 3, 4))).ledger
    assert hours.height == 23 and hours["date"].max() == datetime(2024, 3, 4, 23)


def test_a_total_is_not_shared_among_a_sample_of_its_series():
    whole = small()
    sample, rest = whole.select([0, 2, 4]), whole.series[[1, 3, 5]]
    candle = one("value", 9, item="candle", location="north")
    given = overrides(one("value", 9, item="apple"), one("factor", 2, item="bread"), candle)
    made = apply(sample, given, unsampled=rest, known=whole.series)
    assert made.ledger["item"].to_list() == ["bread", "candle"] and any("not applied" in t for t in made.told)


def test_batches_are_moved_as_the_whole_is():
    model = small()
    given = overrides(one("value", 100, location="south"), one("lock", 3, item="apple"), one("value", 4, item="bread"))
    parts = [model.select(slice(0, 1)), model.select(slice(1, 4)), model.select(slice(4, 6))]
    moves = decide_moves(model.series, model.mean, given, frequency=model.frequency, cutoff=model.cutoff,
                         shapes=Shapes.of(parts[0]) + Shapes.of(parts[1]) + Shapes.of(parts[2]))
    whole = apply(model, given).forecast
    made = [moves.on(part, first=first).quantiles for part, first in zip(parts, (0, 1, 4), strict=True)]
    np.testing.assert_allclose(np.concatenate(made), whole.quantiles)
    with pytest.raises(DataError, match="other series than the overrides were decided for"):
        moves.on(parts[0], first=1)


def test_the_planners_are_listed_by_what_they_moved():
    model = small(10.0)
    given = overrides(one("value", 12, **APPLE_NORTH), one("factor", 0.5, item="bread", who="bob"))
    moves = decide_moves(model.series, model.mean, given,
                         frequency=model.frequency, cutoff=model.cutoff, shapes=Shapes.of(model))
    assert moves.by_author().rows() == [("bob", 1, 2, 0.0, 10.0), ("ann", 1, 1, 2.0, 0.0)]


def test_a_hundred_thousand_overrides_of_as_many_series_need_no_loop_over_them():
    n, d = 100_000, Frequency.parse("D")
    series = pl.DataFrame({"item": np.arange(n), "location": 1})
    model = Forecast(series, d, d.number(CUTOFF), (0.5,), np.ones((n, 2, 1)), np.ones((n, 2)))
    table = pl.DataFrame({"item": np.arange(n), "location": 1, "date": date(2024, 3, 5), "kind": "value", "amount": 2.0,
                          "who": "ann", "when": datetime(2024, 3, 1), "why": "all of them"})
    made = apply(model, read_overrides(table))
    assert (made.forecast.mean[:, 0] == 2).all() and (made.forecast.mean[:, 1] == 1).all() and made.ledger.height == n


@settings(max_examples=25, deadline=None)
@given(data=st.data(), seed=st.integers(0, 9), scale=st.sampled_from([0.0, 0.01, 1.0, 1e4]))
def test_whatever_is_overridden_quantiles_rise_nothing_falls_below_zero_and_the_inputs_stay(data, seed, scale):
    model = small(scale * small(seed=seed).mean, seed=seed)
    before = model.quantiles.copy(), model.mean.copy()
    rows = data.draw(st.lists(st.builds(
        one, st.sampled_from(["value", "factor", "add", "lock"]), st.floats(0, 10),
        item=st.sampled_from([None, "apple", "bread", "candle"]), location=st.sampled_from([None, "north", "south"]),
        first=st.sampled_from([CUTOFF + timedelta(days=k) for k in range(1, 4)]), last=st.just(CUTOFF + timedelta(days=3)),
        when=st.datetimes(datetime(2024, 1, 1), datetime(2024, 3, 1)), category=st.sampled_from([None, "food"])),
        min_size=1, max_size=6))
    given_rows = overrides(*rows)
    kept = given_rows.table.clone()
    made = apply(model, given_rows, items=ITEMS)
    assert (made.forecast.quantiles >= 0).all() and (np.diff(made.forecast.quantiles, axis=2) >= 0).all()
    assert np.array_equal(model.quantiles, before[0]) and np.array_equal(model.mean, before[1]) and given_rows.table.equals(kept)
    table = made.ledger.join(made.forecast.to_frame(), on=["item", "location", "date"])
    assert table["after"].equals(table["mean"].rename("after")) and made.ledger.select("item", "location", "date").is_unique().all()
    untouched = made.forecast.to_frame().join(made.ledger, on=["item", "location", "date"], how="anti")
    assert untouched.equals(model.to_frame().join(made.ledger, on=["item", "location", "date"], how="anti"))
