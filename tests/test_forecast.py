"""Forecast: what it refuses, and there and back through tables and files."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.errors import DataError, SettingsError, SourceError
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.names import LEVELS, quantile_column
from shelfcast.periods import Frequency

LEVELS3 = (0.1, 0.5, 0.9)


def small(n: int = 2, horizon: int = 3, *, freq: str = "D", levels: tuple[float, ...] = LEVELS3, seed: int = 0) -> Forecast:
    rng = np.random.default_rng(seed)
    series = pl.DataFrame({"item": [f"item {i}" for i in range(n)], "location": 7})
    quantiles = np.sort(rng.gamma(2, 5, (n, horizon, len(levels))), axis=2)
    frequency = Frequency.parse(freq)
    return Forecast(series, frequency, frequency.number(date(2024, 3, 4)), levels, quantiles, quantiles.mean(axis=2))


def same(one: Forecast, two: Forecast) -> bool:
    return (one.series.equals(two.series) and one.levels == two.levels
            and (one.frequency, one.cutoff) == (two.frequency, two.cutoff)
            and np.array_equal(one.quantiles, two.quantiles) and np.array_equal(one.mean, two.mean))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 4), horizon=st.integers(2, 9), freq=st.sampled_from(["D", "M", "W-FRI"]), seed=st.integers(0, 99),
       levels=st.sets(st.sampled_from(LEVELS), min_size=1))
def test_a_forecast_is_the_same_after_a_way_through_its_table(n, horizon, freq, seed, levels):
    forecast = small(n, horizon, freq=freq, seed=seed, levels=tuple(sorted(levels)))
    shuffled = forecast.to_frame().sample(fraction=1, shuffle=True, seed=seed)
    assert same(Forecast.from_frame(shuffled, freq=freq), forecast)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_forecast_is_the_same_after_a_way_through_a_file(tmp_path, ending):
    forecast = small(levels=LEVELS)
    forecast.save(tmp_path / f"f.{ending}")
    assert same(Forecast.load(tmp_path / f"f.{ending}"), forecast)


def test_the_table_has_a_row_for_each_series_and_period_in_order():
    table = small().to_frame()
    assert table.columns == ["item", "location", "date", "mean", "q0.1", "q0.5", "q0.9"]
    assert table["date"].to_list()[:3] == [date(2024, 3, 5), date(2024, 3, 6), date(2024, 3, 7)]
    assert table.equals(table.sort("item", "location", "date")) and table.schema["location"] == pl.Int32


def test_only_levels_that_are_held_can_be_looked_at():
    forecast = small()
    np.testing.assert_array_equal(forecast.at(0.5), forecast.quantiles[:, :, 1])
    with pytest.raises(SettingsError, match=r"no level 0.95, only 0.1, 0.5, 0.9"):
        forecast.at(0.95)


@pytest.mark.parametrize("which", [[1], slice(1, 2), np.array([False, True])])
def test_some_series_can_be_taken(which):
    assert small().select(which).series["item"].to_list() == ["item 1"]


@pytest.mark.parametrize("which", [[1, 0], [0, 0], [-1], [2]])
def test_series_are_selected_by_rising_positions_that_a_forecast_has(which):
    with pytest.raises(SettingsError, match="from 0 to 1"):
        small().select(which)
    with pytest.raises(DataError, match="No series is left"):
        small().select([])


def test_crossing_quantiles_are_refused_with_the_first_place():
    good = small()
    bad = good.quantiles.copy()
    bad[1, 2] = [3.0, 2.0, 4.0]
    with pytest.raises(DataError, match=r"1 of 6 .* item 1 at location 7 on 2024-03-07, has quantiles that cross"):
        Forecast(good.series, good.frequency, good.cutoff, good.levels, bad, good.mean)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused_with_the_first_place(value):
    good = small()
    mean = good.mean.copy()
    mean[0, 1] = value
    with pytest.raises(DataError, match=r"item 0 at location 7 on 2024-03-06, is not a number"):
        Forecast(good.series, good.frequency, good.cutoff, good.levels, good.quantiles, mean)


def test_arrays_must_fit_each_other_and_the_series():
    good = small()
    with pytest.raises(DataError, match="needs quantiles"):
        Forecast(good.series, good.frequency, good.cutoff, (0.5,), good.quantiles, good.mean)
    with pytest.raises(SettingsError, match="no horizon"):
        Forecast(good.series, good.frequency, good.cutoff, LEVELS3, np.empty((2, 0, 3)), np.empty((2, 0)))


@pytest.mark.parametrize(("levels", "words"), [
    ((), "At least one"), ((0.0, 0.5), "0 is not"), ((1.5,), "1.5 is not"), ((0.5, 0.1), "must rise"), ((0.5, 0.5), "must rise"),
    ((float("nan"),), "nan is not"),
])
def test_levels_are_rising_probabilities(levels, words):
    with pytest.raises(SettingsError, match=words):
        check_levels(levels)


@pytest.mark.parametrize("horizon", [0, -1, 2.5, True, "8", None])
def test_a_horizon_is_a_whole_number_of_periods(horizon):
    with pytest.raises(SettingsError, match="is no horizon"):
        check_horizon(horizon)


@pytest.mark.parametrize(("change", "words"), [
    (lambda t: t.drop("mean"), "needs item, location, date, mean"), (lambda t: t.select(pl.exclude("^q.*$")), "needs item"),
    (lambda t: t.slice(1), "each series needs each period once"), (lambda t: pl.concat([t, t.head(1)]), "each period once"),
    (lambda t: t.filter(pl.col("date") != date(2024, 3, 6)), "each period once"),
    (lambda t: t.with_columns(pl.lit(None, dtype=pl.Float64).alias("q0.5")), "not a number"),
])
def test_a_table_that_is_no_forecast_is_refused(change, words):
    with pytest.raises(DataError, match=words):
        Forecast.from_frame(change(small().to_frame()), freq="D")


def test_a_file_that_is_no_forecast_is_refused(tmp_path):
    (tmp_path / "f.parquet").write_bytes(b"PAR1 and nothing more")
    for name in ("f.parquet", "absent.csv"):
        with pytest.raises(SourceError, match="cannot be read as a forecast"):
            Forecast.load(tmp_path / name)


def test_only_two_formats_are_written_and_a_wrong_ending_leaves_nothing(tmp_path):
    with pytest.raises(SettingsError, match="ends in neither"):
        small().save(tmp_path / "f.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_forecast_says_what_it_is_in_one_line():
    assert repr(small()) == "Forecast: 2 series, daily, 2024-03-05 to 2024-03-07, levels 0.1, 0.5, 0.9"


def test_pandas_people_get_a_pandas_frame():
    pytest.importorskip("pandas")
    assert list(small().to_pandas().columns) == small().to_frame().columns


def test_nixtla_people_get_a_row_for_each_id_and_period():
    table = small(levels=(0.1, 0.975)).to_nixtla()
    assert table.columns == ["unique_id", "ds", "mean", "q0.1", "q0.975"]
    assert table.row(0)[:2] == ("item 0/7", date(2024, 3, 5)) and table.height == 6


def test_autogluon_people_get_quantiles_named_by_their_level():
    pytest.importorskip("pandas")
    forecast = small(levels=(0.1, 0.5, 0.975))
    table = forecast.to_autogluon()
    assert list(table.columns) == ["item_id", "timestamp", "mean", "0.1", "0.5", "0.975"]
    assert str(table["timestamp"].dtype) == "datetime64[ns]" and table["item_id"].iloc[-1] == "item 1/7"
    np.testing.assert_array_equal(table["0.975"], forecast.at(0.975).reshape(-1))


def test_each_level_has_its_column():
    assert [quantile_column(q) for q in (0.01, 0.5, 0.975)] == ["q0.01", "q0.5", "q0.975"]


def test_a_forecast_cannot_be_changed_and_leaves_its_makers_arrays_alone():
    series = pl.DataFrame({"item": ["a"], "location": ["x"]})
    quantiles, mean = np.ones((1, 2, 1)), np.ones((1, 2))
    forecast = Forecast(series, Frequency.parse("D"), 0, (0.5,), quantiles, mean)
    with pytest.raises(ValueError, match="read-only"):
        forecast.quantiles[0, 0, 0] = 7.0
    quantiles[0, 0, 0] = 1.5
    assert mean.flags.writeable
