"""The space-time network as a model: it learns, is saved whole, goes beyond its horizon, and stands back where history is short."""

import json
import pickle
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from nn.small_chain import chain
from shelfcast.data.split import cut
from shelfcast.errors import SettingsError, UnknownNameError, WeightsError
from shelfcast.models.network_forecast import _beyond
from shelfcast.models.quantiles import read_levels
from shelfcast.models.spacetime import SpaceTime, SpaceTimeSettings
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel

HORIZON = 7
TINY = {"width": 8, "heads": 2, "layers": 1, "context": 28, "series": 24, "horizon": HORIZON}


def fit(panel, *, folder=None, **settings):
    return SpaceTime(SpaceTimeSettings(**(TINY | {"steps": 4} | settings))).fit(panel, folder=folder, progress=False)


@pytest.fixture(scope="module")
def panel():
    return chain(ahead=3 * HORIZON)


@pytest.fixture(scope="module")
def model(panel, tmp_path_factory):
    """Trained long enough to show that it learns; one traced graph serves all of this file."""
    return fit(panel, steps=60, rate=5e-3, patience=100, cold=0.3, folder=tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def forecast(model, panel):
    return model.predict(panel, horizon=HORIZON)


# -- learning ---------------------------------------------------------------------------------------------------------


def test_training_makes_the_loss_fall_on_what_it_learns_and_on_what_was_held_back(model):
    history = model.training_.history
    assert len(history) >= 5 and model.training_.steps == 60
    assert history[-1].loss < 0.95 * history[0].loss
    assert model.training_.best_loss <= history[0].validation


def test_two_trainings_of_the_same_seed_end_in_the_same_bytes_and_another_seed_does_not(panel):
    one, two, other = (fit(panel, seed=seed, steps=3) for seed in (0, 0, 1))
    assert one.onnx_ == two.onnx_ and all(np.array_equal(one.weights_[n], two.weights_[n]) for n in one.weights_)
    assert one.onnx_ != other.onnx_


def test_what_other_programs_drew_before_changes_nothing(panel):
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        one, drawn = fit(panel, steps=2), torch.rand(2)
        torch.manual_seed(5)
        assert torch.equal(torch.rand(2), drawn)
        torch.manual_seed(6)
        assert fit(panel, steps=2).onnx_ == one.onnx_


# -- forecasts --------------------------------------------------------------------------------------------------------


def test_quantiles_rise_and_closed_days_are_zero(forecast):
    closed = np.array([d.weekday() == 6 for d in forecast.dates])
    assert closed.any() and (forecast.quantiles[:, closed] == 0).all() and (forecast.mean[:, closed] == 0).all()
    assert (np.diff(forecast.quantiles[:, ~closed], axis=2) > 0).all() and (forecast.mean[:, ~closed] > 0).all()


def test_beyond_the_horizon_of_training_forecasts_go_on_and_their_beginning_is_the_same(model, panel, forecast):
    longer = model.predict(panel, horizon=3 * HORIZON)
    np.testing.assert_array_equal(longer.quantiles[:, :HORIZON], forecast.quantiles)
    np.testing.assert_array_equal(longer.mean[:, :HORIZON], forecast.mean)
    shorter = model.predict(panel, horizon=2)
    np.testing.assert_array_equal(shorter.quantiles, forecast.quantiles[:, :2])
    open_days = np.array([d.weekday() != 6 for d in longer.dates])
    late = np.arange(3 * HORIZON) >= HORIZON
    assert (np.diff(longer.quantiles[:, open_days], axis=2) > 0).all()
    assert (longer.mean > longer.at(0.05))[:, open_days].all() and (longer.mean < longer.at(0.99))[:, open_days].all()
    ratio = longer.mean[:, open_days & late].mean(axis=1) / longer.mean[:, open_days & ~late].mean(axis=1)
    assert (ratio > 0.5).all() and (ratio < 2).all()


def test_other_levels_lie_between_those_that_were_trained(model, panel, forecast):
    asked = (0.001, 0.37, 0.5, 0.999)
    found = model.predict(panel, horizon=HORIZON, levels=asked)
    sold = forecast.at(0.5) > 0
    np.testing.assert_allclose(found.at(0.5), forecast.at(0.5), rtol=1e-9)
    low, high = max(q for q in LEVELS if q < 0.37), min(q for q in LEVELS if q > 0.37)
    assert ((found.at(0.37) > forecast.at(low)) & (found.at(0.37) < forecast.at(high)))[sold].all()
    assert (found.at(0.999) > forecast.at(LEVELS[-1]))[sold].all() and (found.at(0.001) <= forecast.at(LEVELS[0]))[sold].all()


def test_places_and_items_never_seen_get_a_forecast_near_the_others(model, panel):
    more = chain(items=3, places=5, ahead=3 * HORIZON)
    found = model.predict(more, horizon=HORIZON)
    new = [i for i, (item, place) in enumerate(more.series.select("item", "location").iter_rows())
           if item == "item 2" or place in ("place 03", "place 04")]
    mean = found.mean[:, [d.weekday() != 6 for d in found.dates]].mean(axis=1)
    assert len(new) == 9 and np.isfinite(found.quantiles).all()
    level = np.nanmean(more.dense().sales[:, -28:], axis=1)
    assert (mean[new] / level[new] > 0.5).all() and (mean[new] / level[new] < 2.5).all()


def test_a_new_place_without_a_past_is_forecast_from_its_item(model, panel):
    rows = panel.to_frame().with_columns(pl.when((pl.col("location") == "place 02") & (pl.col("date") <= date(2024, 4, 29)))
                                         .then(None).otherwise(pl.col("sales")).alias("sales"))
    bare = SalesPanel.from_frame(rows, freq="D", known=["promo", "price", "open"], past=["visitors", "available"],
                                 cutoff=date(2024, 4, 29), closed_when="open", places=panel.places)
    bare = replace(bare, covariates=panel.covariates)
    found, usual = model.predict(bare, horizon=HORIZON), model.predict(panel, horizon=HORIZON)
    here = [i for i, place in enumerate(panel.series["location"]) if place == "place 02"]
    ratio = found.mean[here].sum(axis=1) / usual.mean[here].sum(axis=1)
    assert (ratio > 0.4).all() and (ratio < 2.5).all()
    usual_day = np.median(found.mean[here], axis=1)
    assert usual_day[1] > 1.2 * usual_day[0]  # the second item sells twice as much in the other places


def test_sales_after_the_cutoff_change_nothing(model, panel):
    earlier = cut(panel, panel.cutoff - 20)
    unseen = pl.col("period") > earlier.cutoff
    hidden = ("sales", "visitors", "available")
    rows = panel.rows.with_columns(pl.when(unseen).then(pl.col(c) * 9 + 5).otherwise(pl.col(c)).alias(c) for c in hidden)
    careless = replace(earlier, rows=rows)  # as if the cut had failed: what is not known yet stands in the panel, and is another
    assert rows.filter(unseen)["sales"].drop_nulls().len() > 100
    for asked in (HORIZON, 2 * HORIZON):
        found = [model.predict(one, horizon=asked) for one in (earlier, careless)]
        np.testing.assert_array_equal(*(one.quantiles for one in found))
        np.testing.assert_array_equal(*(one.mean for one in found))
    np.testing.assert_array_equal(*(model.place_weights(one)["weight"].to_numpy() for one in (earlier, careless)))


def test_the_weight_of_other_places_can_be_read_for_each_series(model, panel):
    weights = model.place_weights(panel)
    assert weights.columns == ["item", "location", "weight"] and weights.height == len(panel)
    assert ((weights["weight"] > 0) & (weights["weight"] < 1)).all()


# -- kinds of panels --------------------------------------------------------------------------------------------------


def bare(*, freq, periods, series=6, returns=False):
    """Items of one place without covariates or coordinates."""
    draw = np.random.default_rng(3)
    when = pl.date_range(date(2015, 1, 5), date(2015, 1, 5) + timedelta(days=40_000), {"W": "1w", "M": "1mo", "D": "1d"}[freq[0]],
                         eager=True)[:periods]
    parts = [pl.DataFrame({"item": f"i{i}", "date": when, "sales": draw.poisson(3.0 * i, periods) - 2.0 * returns})
             for i in range(series)]
    return SalesPanel.from_frame(pl.concat(parts), freq=freq, net_of_returns=returns)


@pytest.mark.slow
@pytest.mark.parametrize("make", [
    pytest.param(lambda: bare(freq="W", periods=150), id="weekly"), pytest.param(lambda: bare(freq="M", periods=70), id="monthly"),
    pytest.param(lambda: bare(freq="D", periods=90, returns=True), id="returns"),
    pytest.param(lambda: bare(freq="D", periods=400, series=1), id="one series"),
    pytest.param(lambda: chain(located=False), id="no coordinates"),
    pytest.param(lambda: chain(absent="zero"), id="absent is zero"),
    pytest.param(lambda: chain(items=1, places=1, days=300), id="one place"),
    pytest.param(lambda: chain(items=1, places=70, days=60), id="more places than a group holds")])
def test_panels_of_all_kinds_are_learned_from_and_forecast(make):
    panel = make()
    model = fit(panel, context=None, horizon=None)
    assert model.reason_ == ""
    found = model.predict(panel, horizon=5)
    assert np.isfinite(found.quantiles).all() and np.isfinite(found.mean).all()
    assert (np.diff(found.quantiles, axis=2) >= 0).all() and (panel.net_of_returns or (found.quantiles >= 0).all())


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"loss": "poisson"}, {"loss": "tweedie"}, {"loss": "mse"}, {"loss": "negative_binomial"},
                                      {"optimizer": "muon"}, {"optimizer": "sgd"}, {"precision": "bfloat16"}, {"accumulate": 3},
                                      {"adversarial": "fgsm"}, {"adversarial": "pgd"}, {"ema": 0.0}],
                         ids=lambda s: "-".join(f"{k} {v}" for k, v in s.items()))
def test_every_way_of_training_gives_a_forecast(panel, settings):
    found = fit(panel, **settings).predict(panel, horizon=HORIZON)
    assert np.isfinite(found.quantiles).all()


def test_where_history_is_short_the_profile_forecasts_and_says_why(tmp_path):
    short = chain(items=1, places=2, days=20)
    model = fit(short)
    assert "profile forecasts instead" in model.reason_ and model.training_ is None
    found = model.predict(short, horizon=HORIZON)
    np.testing.assert_array_equal(found.quantiles, model.profile_.predict(short, horizon=HORIZON).quantiles)
    assert (model.place_weights(short)["weight"] == 0).all()
    model.save(tmp_path)
    loaded = SpaceTime.load(tmp_path)
    assert loaded.reason_ == model.reason_
    np.testing.assert_array_equal(loaded.predict(short, horizon=HORIZON).quantiles, found.quantiles)


def test_where_nothing_would_be_left_to_learn_from_beside_what_is_held_back_the_profile_forecasts():
    short = chain(items=3, places=3, days=33, ahead=30)
    assert "profile forecasts instead" in fit(short, horizon=30, patience=2).reason_


# -- saving -----------------------------------------------------------------------------------------------------------


def test_a_saved_network_is_plain_files_and_forecasts_the_same_to_the_bit(model, panel, forecast, tmp_path):
    model.save(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"network.safetensors", "network.onnx", "spacetime.json"} <= names
    assert {name.rsplit(".")[-1] for name in names} <= {"safetensors", "onnx", "json", "npz", "parquet"}
    loaded = SpaceTime.load(tmp_path)
    again = loaded.predict(panel, horizon=HORIZON)
    np.testing.assert_array_equal(again.quantiles, forecast.quantiles)
    np.testing.assert_array_equal(again.mean, forecast.mean)
    assert loaded.settings == model.settings and loaded.place_weights(panel).equals(model.place_weights(panel))
    (tmp_path / "again").mkdir()
    loaded.save(tmp_path / "again")
    assert SpaceTime.load(tmp_path / "again").onnx_ == model.onnx_


def test_a_folder_of_a_version_with_other_settings_forecasts_the_same(model, panel, forecast, tmp_path):
    """How it was trained is told; what it forecasts lies in the network's graph and weights."""
    model.save(tmp_path)
    about = json.loads((tmp_path / "spacetime.json").read_text(encoding="utf-8"))
    about["settings"] = {k: v for k, v in about["settings"].items() if k != "events"} | {"of_a_later_version": 3}
    del about["network"]["layout"]["gaps"], about["network"]["geography"]["located"]  # as before there were any
    (tmp_path / "spacetime.json").write_text(json.dumps(about), encoding="utf-8")
    np.testing.assert_array_equal(SpaceTime.load(tmp_path).predict(panel, horizon=HORIZON).quantiles, forecast.quantiles)


@pytest.mark.parametrize("name", ["network.safetensors", "network.onnx", "spacetime.json", "pooled.npz"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_folder_with_a_damaged_file_is_refused_in_words(model, tmp_path, name, damage):
    model.save(tmp_path)
    if damage == "cut":
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:50])
    else:
        (tmp_path / name).unlink()
    with pytest.raises(WeightsError, match=r"[fF]it (it|the model)"):
        SpaceTime.load(tmp_path)


def test_a_fitted_network_goes_into_another_process(model, panel, forecast):
    again = pickle.loads(pickle.dumps(model)).predict(panel, horizon=HORIZON)
    np.testing.assert_array_equal(again.quantiles, forecast.quantiles)


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"width": 10}, {"width": 0}, {"steps": 0}, {"rate": 0.0}, {"rate": -1.0}, {"dropout": 1.0},
                                   {"cold": -0.1}, {"seed": -1}, {"patience": 0}, {"accumulate": 0}, {"ema": 1.0}, {"clip": 0.0},
                                   {"weight_decay": -1.0}, {"threads": 0}, {"context": 0}, {"horizon": 0}, {"patch": 0},
                                   {"width": 10**6}, {"weight_decay": float("nan")}, {"shocks": float("nan")},
                                   {"events": float("inf")}, {"rate": float("nan")}, {"events": -0.1}], ids=str)
def test_settings_out_of_range_are_refused_by_name_when_they_are_made(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        SpaceTimeSettings(**wrong)


@pytest.mark.parametrize("name", ["temporal", "spatial", "fusion", "optimizer", "schedule", "precision", "loss", "adversarial"])
def test_unknown_choices_are_named_with_those_that_there_are(name):
    with pytest.raises(UnknownNameError, match=str(getattr(SpaceTimeSettings(), name))):
        SpaceTimeSettings(**{name: "nothing like it"})


def test_nothing_is_forecast_or_saved_before_it_is_learned(panel, tmp_path):
    with pytest.raises(SettingsError, match="fit"):
        SpaceTime().predict(panel, horizon=3)
    with pytest.raises(SettingsError, match="fit"):
        SpaceTime().save(tmp_path)


# -- arithmetic -------------------------------------------------------------------------------------------------------


def test_beyond_the_last_season_its_mean_correction_is_kept_in_asinh_space():
    expected = np.array([[1.0, 2, 3, 4, 1, 2, 3, 4, 100.0]])
    shift = np.array([[9.0, 9, 9, 9, 0.1, 0.2, 0.3, 0.4]])
    quantiles = (np.arcsinh(expected[:, :8]) + shift)[..., None] + np.array([-0.5, 0.0, 0.5])
    mean = np.sinh(np.arcsinh(expected[:, :8]) + shift)
    q, m = _beyond(quantiles, mean, expected, 9, season=4)
    np.testing.assert_allclose(q[0, 8], np.arcsinh(100.0) + 0.25 + np.array([-0.5, 0.0, 0.5]))
    np.testing.assert_allclose(m[0, 8], np.sinh(np.arcsinh(100.0) + 0.25))
    np.testing.assert_array_equal(q[:, :8], quantiles)


def test_between_levels_of_a_normal_a_normal_is_found():
    from scipy.stats import norm

    have, asked = (0.05, 0.3, 0.5, 0.9), (0.01, 0.1, 0.4, 0.5, 0.7, 0.99)
    values = 3 + 2 * norm.ppf(have)[None, None]
    np.testing.assert_allclose(read_levels(values, have, asked)[0, 0], 3 + 2 * norm.ppf(asked))
    np.testing.assert_array_equal(read_levels(values, have, have), values)


def test_callbacks_are_told_of_every_row_of_a_training(panel):
    told = []

    class Note:
        def start(self, settings, history):
            told.append(("start", settings["steps"]))

        def record(self, row):
            told.append(("row", row.step))

        def finish(self, stopped):
            told.append(("end", stopped))

    SpaceTime(SpaceTimeSettings(**TINY, steps=4)).fit(panel, progress=False, callbacks=[Note()])
    assert told[0] == ("start", 4) and told[-1] == ("end", "all steps done") and ("row", 4) in told
