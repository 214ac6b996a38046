"""The models as scikit-learn knows them: its own exam, its tools, and what a forecast asks beyond a regression."""

import pickle
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.metrics import make_scorer, mean_absolute_error, mean_pinball_loss
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)

from shelfcast import SalesForecaster, SalesPanel, SalesSplit, make_model
from shelfcast.errors import DataError, SettingsError, UnknownNameError
from shelfcast.models.estimator import EXPECTED_FAILED_CHECKS
from shelfcast.models.registry import missing_package


def long_table(days=120, items=3, places=2, seed=0):
    """Items x places with a weekly rhythm and a promotion that doubles sales, in no order; X without sales, y."""
    rng = np.random.default_rng(seed)
    table = pl.DataFrame({"item": [f"i{i}" for i in range(items)]}).join(
        pl.DataFrame({"location": [f"l{i}" for i in range(places)]}), how="cross").join(
        pl.DataFrame({"date": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, 1) + pl.duration(days=days - 1), eager=True)}),
        how="cross")
    promo = (rng.random(table.height) < 0.15).astype(float)
    rate = (5 + 3 * (table["date"].dt.weekday().to_numpy() >= 6)) * (1 + promo)
    table = table.with_columns(pl.Series("promo", promo), pl.Series("sales", rng.poisson(rate).astype(float)))
    table = table.sample(fraction=1, shuffle=True, seed=seed)
    return table.drop("sales"), table["sales"].to_numpy()


def before_and_after(X, y, day="2024-04-15"):
    past = X["date"].to_numpy() < np.datetime64(day)
    return X.filter(past), y[past], X.filter(~past), y[~past]


@parametrize_with_checks([SalesForecaster("naive"), SalesForecaster("profile")],
                         expected_failed_checks=lambda _: dict(EXPECTED_FAILED_CHECKS))
def test_scikit_learn_finds_nothing_wrong(estimator, check):
    check(estimator)


TINY = {"steps": 2, "width": 8, "heads": 2, "layers": 1, "series": 4, "context": 14, "horizon": 7}
SLOWER = [SalesForecaster("boosted"), SalesForecaster("theta"), SalesForecaster("spacetime", TINY)]


@pytest.mark.slow
@parametrize_with_checks([e for e in SLOWER if missing_package(e.model) is None],
                         expected_failed_checks=lambda _: dict(EXPECTED_FAILED_CHECKS))
def test_scikit_learn_finds_nothing_wrong_with_slower_models(estimator, check):
    check(estimator)


def test_each_check_that_is_left_out_says_why_in_a_sentence():
    assert len(EXPECTED_FAILED_CHECKS) <= 2
    assert all(reason.endswith(".") for reason in EXPECTED_FAILED_CHECKS.values())


def test_the_page_on_scikit_learn_names_the_same_checks():
    page = (Path(__file__).parents[2] / "docs" / "scikit-learn.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `check_")] == \
        [f"| `{name}` | {why} |" for name, why in EXPECTED_FAILED_CHECKS.items()]


def test_columns_keep_their_names_as_scikit_learn_asks():
    check_dataframe_column_names_consistency("SalesForecaster", SalesForecaster("naive", date=None))


def test_it_gives_what_the_model_gives():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    panel = SalesPanel.from_frame(X.with_columns(pl.Series("sales", y)), known=["promo"], cutoff="2024-04-14")
    forecast = make_model("profile").fit(panel).predict(panel, horizon=15, levels=(0.1, 0.5, 0.9)).to_frame()
    own = X1.join(forecast, on=["item", "location", "date"], how="left", maintain_order="left")
    fitted = SalesForecaster("profile").fit(pl.concat([X0, X1]), np.r_[y0, np.full(X1.height, np.nan)])
    np.testing.assert_allclose(fitted.predict(X1), own["mean"].to_numpy())
    np.testing.assert_allclose(fitted.predict_quantiles(X1, [0.1, 0.5, 0.9]), own.select("q0.1", "q0.5", "q0.9").to_numpy())


def test_a_row_is_forecast_alike_alone_among_others_and_in_any_order():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster("profile").fit(X0, y0)
    whole = model.predict(X1)
    np.testing.assert_allclose(model.predict(X1[::-1]), whole[::-1])
    some = (X1["item"] == "i1").to_numpy()
    np.testing.assert_allclose(model.predict(X1.filter(some)), whole[some])


def test_pandas_and_polars_give_the_same():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    ours = SalesForecaster("profile").fit(X0, y0)
    theirs = SalesForecaster("profile").fit(X0.to_pandas(), pd.Series(y0))
    np.testing.assert_allclose(theirs.predict(X1.to_pandas()), ours.predict(X1))
    assert list(theirs.feature_names_in_) == ["item", "location", "date", "promo"] == list(ours.feature_names_in_)
    assert theirs.n_features_in_ == 4


def test_a_known_promotion_raises_the_forecast():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster("profile").fit(X0, y0)
    promoted, plain = (model.predict(X1.with_columns(promo=pl.lit(v))) for v in (1.0, 0.0))
    assert (promoted > 1.2 * plain).all()


def test_what_was_learned_from_is_not_forecast():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster("naive").fit(X0, y0)
    with pytest.raises(DataError, match=r"of .* rows lie in the history .* ends on 2024-04-14.*SalesSplit"):
        model.predict(pl.concat([X1, X0[:1]]))


def test_a_series_that_nobody_has_seen_is_named():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster("naive").fit(X0, y0)
    with pytest.raises(DataError, match="no history of; the first: item new, location l0"):
        model.predict(X1.with_columns(item=pl.lit("new"), location=pl.lit("l0")))


def test_a_misspelt_column_is_named_with_its_neighbour():
    X, y = long_table(30)
    with pytest.raises(UnknownNameError, match="Did you mean 'date'"):
        SalesForecaster("naive", date="dat").fit(X, y)
    with pytest.raises(UnknownNameError, match="date=None"):
        SalesForecaster("naive").fit(X.drop("date"), y)
    with pytest.raises(DataError, match="not dates"):
        SalesForecaster("naive").fit(X.with_columns(pl.col("date").cast(pl.String)), y)


def test_what_is_to_be_forecast_is_no_covariate():
    X, y = long_table(30)
    with pytest.raises(DataError, match="What was sold is y"):
        SalesForecaster("naive").fit(X.with_columns(sales=pl.Series(y)), y)


def test_rows_that_repeat_or_lack_a_key_are_refused():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster("naive").fit(X0, y0)
    with pytest.raises(DataError, match="2 rows repeat an item, location and date"):
        model.predict(pl.concat([X1, X1[:1]]))
    with pytest.raises(DataError, match=r"1 rows have no item; the first is row 4"):
        model.predict(X1.with_columns(item=pl.when(pl.int_range(pl.len()) != 4).then("item")))


def test_a_notebook_shows_it():
    assert "settings" in SalesForecaster("boosted", {"effort": "fast"})._repr_html_()
    assert repr(SalesForecaster("boosted", {"effort": "fast"})) == "SalesForecaster(model='boosted', settings={'effort': 'fast'})"


def test_a_covariate_of_another_type_is_refused():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster("profile").fit(X0, y0)
    with pytest.raises(DataError, match="'promo' holds String, and it held Float64"):
        model.predict(X1.with_columns(pl.col("promo").cast(pl.String)))


def test_columns_may_have_other_names():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    names = {"item": "sku", "location": "shop", "date": "day"}
    other = SalesForecaster("profile", item="sku", location="shop", date="day").fit(X0.rename(names), y0)
    np.testing.assert_allclose(other.predict(X1.rename(names)), SalesForecaster("profile").fit(X0, y0).predict(X1))


def test_settings_are_set_one_by_one_and_the_given_ones_stay_as_they_are():
    given = {"effort": "full"}
    model = SalesForecaster("boosted", given)
    assert model.get_params()["settings__effort"] == "full"
    model.set_params(settings__effort="fast", settings__seed=3)
    assert model.settings == {"effort": "fast", "seed": 3}
    assert given == {"effort": "full"}
    assert clone(model).get_params() == model.get_params()


def test_a_setting_that_the_model_has_not_is_refused_when_fitted():
    X, y = long_table(30)
    with pytest.raises(UnknownNameError, match="Did you mean 'effort'"):
        SalesForecaster("boosted").set_params(settings__efort="fast").fit(X, y)
    with pytest.raises(SettingsError, match=r"give \{setting: value\}"):
        SalesForecaster("boosted", settings=5).fit(X, y)


def test_level_gives_that_quantile():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    high = SalesForecaster("profile", level=0.9).fit(X0, y0)
    np.testing.assert_array_equal(high.predict(X1), high.predict_quantiles(X1, (0.5, 0.9))[:, 1])
    with pytest.raises(SettingsError, match="not a quantile level"):
        SalesForecaster("naive", level=9).fit(X0, y0)


@pytest.mark.parametrize("name", ["naive", "profile", "boosted"])
def test_a_pickled_model_forecasts_bit_for_bit_the_same(name):
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster(name, {"effort": "fast"} if name == "boosted" else None).fit(X0, y0)
    stored = BytesIO()
    joblib.dump(model, stored)
    stored.seek(0)
    for again in (joblib.load(stored), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(again.predict(X1), model.predict(X1))
        assert again.panel_.fingerprint() == model.panel_.fingerprint()


def test_a_grid_of_settings_is_searched_by_window():
    X, y = long_table()
    search = GridSearchCV(SalesForecaster(), [{"model": ["naive"]}, {"model": ["profile"], "settings__horizon": [7, 14]}],
                          cv=SalesSplit(horizon=14, windows=2), scoring="neg_mean_absolute_error")
    search.fit(X.to_pandas(), y)
    assert search.best_params_["model"] == "profile"  # the naive one does not know of promotions
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    tomorrow = X.filter(X["date"] == X["date"].max()).with_columns(pl.col("date") + pl.duration(days=1))
    assert search.predict(tomorrow.to_pandas()).shape == (6,)


def test_a_quantile_is_searched_by_its_own_loss():
    X, y = long_table()
    loss = make_scorer(mean_pinball_loss, alpha=0.9, greater_is_better=False)
    split = SalesSplit(horizon=14, windows=2)
    aimed, middle = (cross_val_score(SalesForecaster("profile", level=q), X, y, cv=split, scoring=loss).mean() for q in (0.9, 0.5))
    assert aimed > middle


def test_cross_validation_that_trains_on_the_future_fails_and_does_not_flatter():
    X, y = long_table(60)
    with pytest.warns(UserWarning, match="Scoring failed"):
        scores = cross_val_score(SalesForecaster("naive"), X, y, cv=KFold(3, shuffle=True, random_state=0))
    assert np.isnan(scores).all()


def test_one_series_goes_through_time_series_split():
    rng = np.random.default_rng(1)
    promo = (rng.random(200) < 0.2).astype(float)
    y = rng.poisson((5 + 4 * (np.arange(200) % 7 == 5)) * (1 + promo)).astype(float)
    split = TimeSeriesSplit(5, test_size=14)
    known, not_known = (cross_val_score(SalesForecaster("profile"), x[:, None], y, cv=split, scoring="neg_mean_absolute_error")
                        for x in (promo, np.zeros(200)))
    assert known.mean() > not_known.mean()  # promotions, a column of the array, help


def test_it_is_the_last_step_of_a_pipeline():
    X, y = long_table()
    X = X.with_columns(price=pl.lit(2.0) - 0.5 * pl.col("promo"))
    X0, y0, X1, y1 = before_and_after(X, y)
    scale = ColumnTransformer([("scaled", StandardScaler(), ["price"])], remainder="passthrough", verbose_feature_names_out=False)
    pipeline = Pipeline([("scale", scale.set_output(transform="polars")), ("forecast", SalesForecaster("profile"))])
    pipeline.set_params(forecast__settings__horizon=15).fit(X0, y0)
    assert mean_absolute_error(y1, pipeline.predict(X1)) < mean_absolute_error(y1, np.full(len(y1), y0.mean()))
    assert is_regressor(pipeline)
    assert pipeline.score(X1, y1) > 0


def test_static_columns_are_attributes_of_items_and_places():
    X, y = long_table(40)
    X = X.with_columns(pl.col("item").replace_strict({"i0": "food", "i1": "food", "i2": "toys"}).alias("group"),
                       pl.col("location").replace_strict({"l0": 52.5, "l1": 48.1}).alias("latitude"),
                       pl.col("location").replace_strict({"l0": 13.4, "l1": 11.6}).alias("longitude"))
    panel = SalesForecaster("naive", static=["group", "latitude", "longitude"]).fit(X, y).panel_
    assert panel.items.rows() == [("i0", "food"), ("i1", "food"), ("i2", "toys")]
    assert panel.places.rows() == [("l0", 52.5, 13.4), ("l1", 48.1, 11.6)]
    assert dict(panel.covariates) == {"promo": "known", "group": "static"}
    with pytest.raises(DataError, match="'promo' is to be static, but it changes"):
        SalesForecaster("naive", static=["promo"]).fit(X, y)


def test_sales_below_zero_are_returns_and_may_be_forecast():
    y = np.tile([-1.0, 2.0], 30)
    assert SalesForecaster("naive", {"season": 2}).fit(np.zeros((60, 1)), y).predict(np.zeros((1, 1)))[0] < 0


def test_a_period_without_a_row_means_what_absent_says():
    X = pl.DataFrame({"date": pl.Series(["2024-01-01", "2024-01-04"]).str.to_date()})
    ahead = pl.DataFrame({"date": pl.Series(["2024-01-05"]).str.to_date()})
    usual = [SalesForecaster("naive", {"season": 2}, level=0.5, absent=how).fit(X, [4.0, 6.0]).predict(ahead)[0]
             for how in ("missing", "zero")]
    assert usual == [4.0, 0.0]  # of the first of January, and of the third
    with pytest.raises(UnknownNameError, match="zero"):
        SalesForecaster("naive", absent="nought").fit(X, [4.0, 6.0])


def test_nothing_is_forecast_for_a_closed_day():
    X = pl.DataFrame({"date": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 3, 31), eager=True)}) \
        .with_columns(open=(pl.col("date").dt.weekday() < 7).cast(pl.Float64))
    y = np.where(X["open"].to_numpy() == 1, 8.0, 0.0)
    model = SalesForecaster("profile", closed_when="open").fit(X[:84], y[:84])
    np.testing.assert_array_equal(model.predict(X[84:]) == 0, y[84:] == 0)


def test_an_item_may_be_a_category_of_pandas():
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster("profile").fit(X0.to_pandas().astype({"item": "category"}), y0)
    expected = SalesForecaster("profile").fit(X0, y0).predict(X1)
    np.testing.assert_allclose(model.predict(X1.to_pandas().astype({"item": "category"})), expected)


def test_a_forecast_does_not_move_when_later_sales_change():
    X, y = long_table()
    X0, y0, X1, y1 = before_and_after(X, y)
    (train, test), *_ = SalesSplit(horizon=15, windows=1).split(pl.concat([X0, X1]), np.r_[y0, y1])
    both, one, other = pl.concat([X0, X1]), np.r_[y0, y1], np.r_[y0, 100 * y1]
    first, second = (SalesForecaster("profile").fit(both[train], sales[train]).predict(both[test]) for sales in (one, other))
    np.testing.assert_array_equal(first, second)


def test_periods_that_nobody_asked_for_are_gaps():
    """The third day alone: what the covariates of the first two will be is not known, and need not be."""
    X, y = long_table()
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster("profile").fit(X0, y0)
    third = (X1["date"].to_numpy() == np.datetime64("2024-04-17"))
    np.testing.assert_allclose(model.predict(X1.filter(third)), model.predict(X1)[third])


def test_nothing_is_forecast_before_fitting():
    with pytest.raises(NotFittedError):
        SalesForecaster().predict(np.zeros((3, 1)))


def test_without_scikit_learn_the_error_says_what_to_install():
    code = ("import sys; sys.modules['sklearn'] = None\n"
            "import shelfcast; from shelfcast import *\n"
            "try: shelfcast.SalesForecaster\n"
            "except shelfcast.errors.MissingExtraError as error: print(error)")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'shelfcast[sklearn]'" in out.stdout


@pytest.mark.slow
def test_a_network_is_fitted_pickled_and_knows_where_the_places_are():
    pytest.importorskip("torch", reason="needs the extra train")
    X, y = long_table()
    X = X.with_columns(pl.col("location").replace_strict({"l0": 52.5, "l1": 48.1}).alias("latitude"),
                       pl.col("location").replace_strict({"l0": 13.4, "l1": 11.6}).alias("longitude"))
    X0, y0, X1, _ = before_and_after(X, y)
    model = SalesForecaster("spacetime", {**TINY, "horizon": 15}, static=["latitude", "longitude"]).fit(X0, y0)
    assert model.panel_.places.columns == ["location", "latitude", "longitude"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X1), model.predict(X1))
