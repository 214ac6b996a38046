"""Cross-validation by date never trains on what it tests, nor on anything later."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV

from shelfcast import SalesForecaster, SalesSplit
from shelfcast.errors import SettingsError


def dates(first, count):
    return pl.date_range(first, first + pl.duration(days=count - 1), eager=True)


def table(starts, days=60, seed=0):
    """One row a day for each item from its start on, in no order."""
    parts = [pl.DataFrame({"date": dates(pl.date(2024, 1, 1), days)[start:]}).with_columns(item=pl.lit(f"i{i}"))
             for i, start in enumerate(starts)]
    return pl.concat(parts).sample(fraction=1, shuffle=True, seed=seed)


@settings(max_examples=25, deadline=None)
@given(starts=st.lists(st.integers(0, 59), min_size=1, max_size=5), horizon=st.integers(1, 10), windows=st.integers(1, 4),
       step=st.none() | st.integers(1, 10), seed=st.integers(0, 9))
def test_no_window_trains_on_its_own_days_or_later_ones(starts, horizon, windows, step, seed):
    X = table([0, *starts], seed=seed)
    day = X["date"].to_numpy()
    split = SalesSplit(horizon=horizon, windows=windows, step=step)
    found = list(split.split(X, np.ones(X.height)))
    assert len(found) == windows == split.get_n_splits(X)
    for train, test in found:
        assert day[train].max() < day[test].min()
        assert set(X["item"][test]) <= set(X["item"][train])
    assert day[found[-1][1]].max() == day.max()


def test_windows_follow_each_other_and_end_with_the_sales():
    X = table([0, 10])
    y = np.where(X["date"].to_numpy() <= np.datetime64("2024-02-20"), 1.0, np.nan)
    ends = [(X["date"][test].min().isoformat(), X["date"][test].max().isoformat())
            for _, test in SalesSplit(horizon=7, windows=2).split(X, y)]
    assert ends == [("2024-02-07", "2024-02-13"), ("2024-02-14", "2024-02-20")]


def test_rows_without_sales_and_series_that_begin_in_the_window_are_not_tested():
    X = table([0, 55])
    y = np.ones(X.height)
    y[(X["item"] == "i0").to_numpy() & (X["date"].to_numpy() == np.datetime64("2024-02-28"))] = np.nan
    [(_, test)] = SalesSplit(horizon=7).split(X, y)
    assert sorted(X["item"][test]) == ["i0"] * 6


def test_pandas_is_split_as_polars_is():
    X = table([0, 10])
    for (train, test), (train_too, test_too) in zip(SalesSplit(horizon=7, windows=2).split(X),
                                                    SalesSplit(horizon=7, windows=2).split(X.to_pandas()), strict=True):
        np.testing.assert_array_equal(train, train_too)
        np.testing.assert_array_equal(test, test_too)


def test_rows_of_an_array_are_consecutive():
    [(train, test)] = SalesSplit(horizon=3).split(np.zeros((10, 2)))
    assert train.tolist() == list(range(7))
    assert test.tolist() == [7, 8, 9]


def test_more_windows_than_history_are_refused():
    with pytest.raises(SettingsError, match="periods of history"):
        list(SalesSplit(horizon=30, windows=3).split(table([0])))


def store_item(public_data, series=20):
    sales = pl.read_parquet(public_data / "store_item" / "train.parquet").rename({"store": "location"})
    sales = sales.filter((pl.col("item") <= series // 2) & (pl.col("location") <= 2)
                         & pl.col("date").is_between(pl.datetime(2015, 1, 1), pl.datetime(2016, 12, 31)))
    return sales.drop("sales"), sales["sales"].cast(pl.Float64).to_numpy()


@pytest.mark.data
def test_settings_are_searched_on_real_sales(public_data):
    X, y = store_item(public_data)
    search = GridSearchCV(SalesForecaster("profile"), {"settings__max_rows": [300, 20_000]},
                          cv=SalesSplit(horizon=28, windows=2), scoring="neg_mean_absolute_error")
    search.fit(X, y)
    naive = GridSearchCV(SalesForecaster("naive"), {}, cv=search.cv, scoring=search.scoring).fit(X, y)
    assert search.best_score_ > naive.best_score_
    assert len(set(search.cv_results_["mean_test_score"])) == 2


@pytest.mark.data
@pytest.mark.slow
def test_the_effort_of_trees_is_searched_on_real_sales(public_data):
    X, y = store_item(public_data, series=4)
    search = GridSearchCV(SalesForecaster("boosted", {"max_rows": 2_000}), {"settings__effort": ["fast", "full"]},
                          cv=SalesSplit(horizon=28), scoring="neg_mean_absolute_error")
    search.fit(X.to_pandas(), y)
    assert search.best_estimator_.model_.settings.max_rows == 2_000
    assert search.best_params_["settings__effort"] in ("fast", "full")
