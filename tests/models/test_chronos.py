"""Chronos behind our protocol: tiny random weights, never the network."""

import json
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from shelfcast.errors import DataError, MissingExtraError, SettingsError, WeightsError
from shelfcast.models.chronos import Chronos, ChronosSettings, mean_by_category
from shelfcast.models.quantiles import read_levels
from shelfcast.models.registry import load_model, make_model, save_model
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency

chronos = pytest.importorskip("chronos")

from weights.tiny import BOLT_LEVELS, chronos_folder, write_chronos  # noqa: E402 (needs the package)

LAST = 20_000  # the cutoff's period number
HORIZON = 5


def panel_of(*, series: int = 3, days: int = 90, seed: int = 0, promo: np.ndarray | None = None, weather: float = 1.0,
             **rest: object) -> SalesPanel:
    """Daily counts; a promotion known ahead and a weather of the past."""
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(series):
        sales = rng.poisson(5.0 * (k + 1), days).astype(float)
        shown = (rng.random(days + HORIZON) < 0.3).astype(float) if promo is None else promo
        parts.append(pl.DataFrame({
            "item": f"i{k:03}", "location": "x", "period": np.arange(LAST - days + 1, LAST + HORIZON + 1, dtype=np.int32),
            "sales": [*sales, *[None] * HORIZON], "promo": shown,
            "weather": [*(rng.normal(15, 5, days) * weather), *[None] * HORIZON]}, strict=False))
    return SalesPanel.from_periods(pl.concat(parts), Frequency("D"), cutoff=LAST,
                                   covariates={"promo": "known", "weather": "past"}, **rest)


def opened(kind: str, on: SalesPanel, **settings: object) -> Chronos:
    return Chronos(ChronosSettings(weights=str(chronos_folder(kind)), threads=1, **settings)).fit(on)


# -- what goes in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bolt", "2"])
def test_the_wrapper_says_what_the_package_says_at_the_networks_own_levels(kind):
    import torch

    panel = panel_of(series=4)
    bare = replace(panel, covariates={})
    ours = opened(kind, bare).predict(bare, horizon=HORIZON, levels=(0.1, 0.5, 0.9))
    pipeline = chronos.BaseChronosPipeline.from_pretrained(chronos_folder(kind))
    sales = torch.tensor(panel.dense().sales, dtype=torch.float32)
    said, _ = pipeline.predict_quantiles(sales if kind == "bolt" else sales[:, None], prediction_length=HORIZON,
                                         quantile_levels=list(pipeline.quantiles))
    theirs = np.sort((said if kind == "bolt" else torch.cat(said)).numpy(), axis=2)
    at = [list(pipeline.quantiles).index(q) for q in (0.1, 0.5, 0.9)]
    np.testing.assert_allclose(ours.quantiles, np.maximum(theirs[..., at], 0), rtol=1e-5, atol=1e-5)


def test_chronos_2_is_shown_what_the_package_is_shown_of_covariates():
    panel = panel_of(series=2)
    ours = opened("2", panel).predict(panel, horizon=HORIZON, levels=(0.5,))
    dense = panel.dense(horizon=HORIZON)
    promo, weather = dense.known["promo"], dense.past["weather"]
    tasks = [{"target": dense.sales[k], "past_covariates": {"weather": weather[k], "promo": promo[k, :-HORIZON]},
              "future_covariates": {"promo": promo[k, -HORIZON:]}} for k in range(2)]
    pipeline = chronos.BaseChronosPipeline.from_pretrained(chronos_folder("2"))
    said = pipeline.predict(tasks, prediction_length=HORIZON)
    theirs = np.sort(np.stack([s[0].numpy() for s in said]), axis=1)[:, 10]
    np.testing.assert_allclose(ours.at(0.5), theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "moves"), [("bolt", False), ("2", True)])
def test_a_promotion_ahead_and_the_weather_behind_move_chronos_2_and_not_bolt(kind, moves):
    every_week = np.arange(90) % 7 == 0.0
    plain, promoted = (panel_of(promo=np.r_[every_week, np.full(HORIZON, ahead)].astype(float)) for ahead in (0.0, 1.0))
    model = opened(kind, plain)
    usual = model.predict(plain, horizon=HORIZON).mean
    assert np.allclose(usual, model.predict(promoted, horizon=HORIZON).mean) != moves
    wet = panel_of(promo=np.r_[every_week, np.zeros(HORIZON)].astype(float), weather=-1.0)
    assert np.allclose(usual, model.predict(wet, horizon=HORIZON).mean) != moves
    assert (model.traits.uses_known, model.traits.uses_past) == (moves, moves)


def test_covariates_can_be_kept_from_chronos_2_and_then_need_no_future():
    panel = panel_of()
    lacking = replace(panel, rows=panel.rows.filter(pl.col("period") <= LAST))
    with pytest.raises(DataError, match="promo"):
        opened("2", panel).predict(lacking, horizon=HORIZON)
    blind = opened("2", panel, covariates=False)
    assert not blind.traits.uses_known
    np.testing.assert_array_equal(blind.predict(lacking, horizon=HORIZON).mean, blind.predict(panel, horizon=HORIZON).mean)


def test_a_text_is_told_as_what_was_sold_under_it_and_its_name_does_not_matter():
    days = 90
    rng = np.random.default_rng(3)
    kind = np.array(["none", "feast", "fair"])[rng.integers(0, 3, days + HORIZON)]
    other = np.array([{"none": "zzz", "feast": "a", "fair": "m"}[k] for k in kind])
    base = panel_of(series=2)
    one, two = (replace(base, rows=base.rows.with_columns(pl.Series("promo", np.tile(names, 2)))) for names in (kind, other))
    model = opened("2", one)
    np.testing.assert_array_equal(model.predict(one, horizon=HORIZON).mean, model.predict(two, horizon=HORIZON).mean)
    turned = replace(base, rows=base.rows.with_columns(pl.Series("promo", np.tile(np.roll(kind, 1), 2))))
    assert not np.allclose(model.predict(one, horizon=HORIZON).mean, model.predict(turned, horizon=HORIZON).mean)


def test_a_text_never_seen_before_stands_for_the_usual_sale():
    told = mean_by_category(np.array([[0.0, 0.0, np.nan, 1.0]]), np.array([[2.0, 4.0, 6.0]]), 2)
    np.testing.assert_allclose(told, [[(4 + 6) / 3, (4 + 6) / 3, np.nan, 4.0]])


def test_only_the_context_is_looked_at():
    panel = panel_of()
    early = panel.rows.with_columns(pl.col("sales") * pl.when(pl.col("period") <= LAST - 32).then(50).otherwise(1))
    model = opened("bolt", panel, context=32)
    np.testing.assert_array_equal(model.predict(panel, horizon=HORIZON).mean,
                                  model.predict(replace(panel, rows=early), horizon=HORIZON).mean)


def test_a_covariate_as_large_as_a_panel_may_hold_does_no_harm():
    panel = panel_of(promo=np.r_[np.arange(90) % 7 == 0, np.zeros(HORIZON)] * 1e30)
    assert np.isfinite(opened("2", panel).predict(panel, horizon=HORIZON).quantiles).all()


def test_a_series_of_which_the_context_knows_nothing_gets_the_seasonal_naive_forecast():
    panel = panel_of(series=2)
    gone = pl.when((pl.col("series") == 1) & (pl.col("period") > LAST - 40)).then(None).otherwise(pl.col("sales"))
    silent = replace(panel, rows=panel.rows.with_columns(gone.alias("sales")))
    model = opened("bolt", silent, context=30)
    forecast = model.predict(silent, horizon=HORIZON)
    naive = model.naive_.predict(silent, horizon=HORIZON)
    np.testing.assert_array_equal(forecast.quantiles[1], naive.quantiles[1])
    assert not np.allclose(forecast.quantiles[0], naive.quantiles[0])


# -- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bolt", "2"])
@pytest.mark.parametrize("horizon", [HORIZON, 40])
def test_a_forecast_does_not_depend_on_who_shares_the_batch(kind, horizon):
    panel = replace(panel_of(series=23), covariates={}) if horizon > HORIZON else panel_of(series=23)
    model = opened(kind, panel, batch=24)
    whole = model.predict(panel, horizon=horizon)
    some = model.predict(panel.select([2, 7, 22]), horizon=horizon)
    np.testing.assert_array_equal(some.quantiles, whole.quantiles[[2, 7, 22]])


@pytest.mark.parametrize("kind", ["bolt", "2"])
@pytest.mark.parametrize("batch", [1, 7, 512])
def test_the_size_of_a_batch_changes_last_digits_alone(kind, batch):
    panel = replace(panel_of(series=9), covariates={})
    np.testing.assert_allclose(opened(kind, panel, batch=batch).predict(panel, horizon=HORIZON).quantiles,
                               opened(kind, panel).predict(panel, horizon=HORIZON).quantiles, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("device", "covariates", "at_once", "runs"), [
    ("cpu", True, 3, 30),  # a series and its two covariates alone
    ("cpu:0", True, 12, 8), ("cpu", False, 12, 3)])
def test_no_more_rows_than_a_batch_go_through_the_network_at_once(monkeypatch, device, covariates, at_once, runs):
    panel = panel_of(series=30)
    model = opened("2", panel, batch=12, device=device, covariates=covariates)
    rows = []
    forward = type(model.pipeline_.model).forward

    def counted(self, context, *args, **kwargs):
        rows.append(len(context))
        return forward(self, context, *args, **kwargs)

    monkeypatch.setattr(type(model.pipeline_.model), "forward", counted)
    model.predict(panel, horizon=HORIZON)
    assert set(rows) == {at_once} and len(rows) == runs


def test_the_number_of_threads_of_others_is_left_as_it_was():
    import torch

    panel, before = panel_of(), torch.get_num_threads()
    opened("bolt", panel).predict(panel, horizon=2)
    assert torch.get_num_threads() == before


# -- what comes out ---------------------------------------------------------------------------------------------------


def test_between_two_levels_a_line_between_normal_scores_is_read_and_beyond_the_last_it_goes_on():
    from scipy.stats import norm

    bell = norm.ppf(BOLT_LEVELS)[None] * 3 + 10  # of a normal distribution all levels are known exactly
    np.testing.assert_allclose(read_levels(bell, BOLT_LEVELS, (0.01, 0.25, 0.5, 0.999)),
                               norm.ppf([[0.01, 0.25, 0.5, 0.999]]) * 3 + 10, rtol=1e-12)


def test_levels_that_bolt_never_learned_go_on_beyond_its_outermost():
    panel = panel_of()
    forecast = opened("bolt", panel).predict(panel, horizon=HORIZON, levels=(0.5, 0.8, 0.9, 0.99))
    step = forecast.at(0.9) - forecast.at(0.8)
    assert (step > 0).any() and (forecast.at(0.99)[step > 0] > forecast.at(0.9)[step > 0]).all()


def test_no_sale_is_negative_unless_returns_count():
    panel = panel_of(series=4)
    slow = replace(panel, rows=panel.rows.with_columns((pl.col("sales") > 9).cast(pl.Float64).alias("sales")))
    model = opened("bolt", slow)
    assert model.predict(slow, horizon=HORIZON).quantiles.min() == 0
    assert model.predict(replace(slow, net_of_returns=True), horizon=HORIZON).quantiles.min() < 0


# -- weights ----------------------------------------------------------------------------------------------------------


def test_nothing_is_fetched_unless_asked(monkeypatch):
    monkeypatch.setattr(chronos.BaseChronosPipeline, "from_pretrained", lambda *a, **k: pytest.fail("weights were asked for"))
    with pytest.raises(SettingsError, match="comes without weights"):
        make_model("chronos").fit(panel_of())


def test_a_hub_that_cannot_be_reached_is_told_with_the_way_out(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("We couldn't connect to the hub to load the files.")

    monkeypatch.setattr(chronos.BaseChronosPipeline, "from_pretrained", offline)
    with pytest.raises(WeightsError, match=r"amazon/chronos-bolt-tiny.*could not be fetched.*weights=FOLDER"):
        make_model("chronos", {"weights": "amazon/chronos-bolt-tiny"}).fit(panel_of())


def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(monkeypatch, tmp_path):
    monkeypatch.setattr(chronos.BaseChronosPipeline, "from_pretrained", lambda *a, **k: pytest.fail("the hub was asked"))
    for wrong in (str(tmp_path / "nowhere"), "nowhere", "./weights/bolt"):
        with pytest.raises(WeightsError, match="There is no folder"):
            make_model("chronos", {"weights": wrong}).fit(panel_of())


def test_damaged_weights_are_refused_each_in_its_way(tmp_path):
    from safetensors.numpy import load_file, save_file

    def refused(folder):
        with pytest.raises(WeightsError) as error:
            make_model("chronos", {"weights": str(folder)}).fit(panel_of())
        return str(error.value)

    (tmp_path / "empty").mkdir()
    assert "cannot be opened" in refused(tmp_path / "empty")
    for name in ("cut", "holes", "other", "adapter"):
        write_chronos(tmp_path / name, "bolt")
    file = tmp_path / "cut" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    assert "cannot be opened" in refused(tmp_path / "cut")
    file = tmp_path / "holes" / "model.safetensors"
    tensors = load_file(file)
    save_file({k: v for k, v in tensors.items() if "output_patch_embedding.output_layer.weight" not in k}, file, {"format": "pt"})
    assert "lack 1 parts" in refused(tmp_path / "holes")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "chronos_pipeline_class": "Unheard"}))
    assert "cannot be opened" in refused(tmp_path / "other")
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert "merge it" in refused(tmp_path / "adapter")


def test_weights_that_run_code_when_opened_are_not_opened(tmp_path):
    import torch

    write_chronos(tmp_path, "bolt")
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be opened"):
        make_model("chronos", {"weights": str(tmp_path)}).fit(panel_of())


@pytest.mark.parametrize("kind", ["bolt", "2"])
def test_a_saved_model_forecasts_where_its_first_weights_are_gone(kind, tmp_path):
    panel = panel_of()
    write_chronos(tmp_path / "weights", kind, seed=5)
    model = make_model("chronos", {"weights": str(tmp_path / "weights"), "threads": 1}).fit(panel)
    save_model(model, tmp_path / "saved", panel=panel)
    for file in (tmp_path / "weights").iterdir():
        file.unlink()
    loaded = load_model(tmp_path / "saved", panel=panel)
    np.testing.assert_array_equal(loaded.predict(panel, horizon=3).quantiles, model.predict(panel, horizon=3).quantiles)
    assert loaded.traits == model.traits


def test_traits_say_what_the_published_weights_have_seen_and_of_no_weights_nothing():
    assert make_model("chronos").traits.trained_on == ()
    bolt, two = (make_model("chronos", {"weights": f"amazon/chronos-{k}"}).traits for k in ("bolt-tiny", "2"))
    assert "m4 weekly" in bolt.trained_on and not bolt.uses_known
    assert "2510.15821" in two.trained_on[0] and two.uses_known
    assert make_model("chronos", {"weights": str(chronos_folder("bolt"))}).traits == bolt


@pytest.mark.parametrize("kind", ["bolt", "2"])
def test_half_the_digits_forecast_nearly_the_same_and_are_kept(kind, tmp_path):
    panel = panel_of()
    exact, short = (opened(kind, panel, precision=p) for p in ("float32", "bfloat16"))
    usual, rough = (m.predict(panel, horizon=HORIZON) for m in (exact, short))
    spread = usual.at(0.9) - usual.at(0.1)
    assert np.abs(rough.mean - usual.mean).max() > 0 and (np.abs(rough.mean - usual.mean) < 0.05 * spread + 0.05 * usual.mean).all()
    save_model(short, tmp_path / "saved")
    np.testing.assert_array_equal(load_model(tmp_path / "saved").predict(panel, horizon=HORIZON).quantiles, rough.quantiles)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(SettingsError, match="'abacus'"):
        opened("bolt", panel_of(), device="abacus")


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"context": 0}, {"threads": 0}, {"weights": " "}, {"precision": "int3"}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        ChronosSettings(**wrong)


def test_without_the_package_the_line_that_brings_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "chronos", None)
    with pytest.raises(MissingExtraError, match=r"shelfcast\[chronos\]"):
        Chronos(ChronosSettings(weights=str(chronos_folder("bolt")))).fit(panel_of())
