"""The pretrained network: zero-shot on whatever a panel is."""

import json
import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shelfcast.data.split import cut
from shelfcast.errors import SettingsError, WeightsError
from shelfcast.models.in_context import MOST_CONTEXT
from shelfcast.models.naive import SeasonalNaive
from shelfcast.models.pretrained import CARD, GRAPH, Pretrained, PretrainedSettings, boxed, read_weights
from shelfcast.models.registry import load_model, make_model, save_model
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel
from shelfcast.world.prior import draw_world


def past_and_truth(regime: str, seed: int, horizon: int) -> tuple[SalesPanel, np.ndarray]:
    """A drawn retailer without its last periods, and what came in them."""
    world = draw_world(seed, regime=regime)
    past = cut(world.panel, world.panel.cutoff - horizon)
    keys = {k: i for i, k in enumerate(world.panel.series.select("item", "location").rows())}
    at = [keys[k] for k in past.series.select("item", "location").rows()]
    return past, world.truth[at, -horizon:]


def pinball(truth: np.ndarray, quantiles: np.ndarray) -> float:
    levels = np.array(LEVELS)
    short = truth[..., None] - quantiles
    return float(np.nanmean(np.maximum(levels * short, (levels - 1) * short)))


def hourly_panel(days: int = 40) -> SalesPanel:
    generator = np.random.default_rng(0)
    hours = np.arange(24 * days)
    rows = [{"item": f"i{k}", "location": "x", "date": [datetime(2024, 1, 1) + timedelta(hours=int(h)) for h in hours],
             "sales": generator.poisson(3 + 3 * np.sin(2 * np.pi * (hours % 24) / 24)).astype(float)} for k in range(4)]
    return SalesPanel.from_frame(pl.concat([pl.DataFrame(r) for r in rows]), freq="h")


@pytest.mark.parametrize(("regime", "seed", "horizon"), [("grocery", 21, 28), ("brands", 22, 13), ("monthly", 23, 6),
                                                         ("fast", 26, 28)])
def test_on_a_retailer_never_seen_it_beats_the_seasonal_naive_forecast(regime: str, seed: int, horizon: int) -> None:
    past, truth = past_and_truth(regime, seed, horizon)
    ours = Pretrained(PretrainedSettings(horizon=horizon)).fit(past).predict(past, horizon=horizon)
    naive = SeasonalNaive().fit(past).predict(past, horizon=horizon)
    assert pinball(truth, ours.quantiles) < 0.9 * pinball(truth, naive.quantiles)


def test_hours_are_forecast_too_and_follow_the_day() -> None:
    panel = hourly_panel()
    made = Pretrained(PretrainedSettings(horizon=48)).fit(panel).predict(panel, horizon=48)
    day = made.mean.mean(axis=0).reshape(2, 24)
    assert (day[:, 3:9].mean(axis=1) > 2 * day[:, 15:21].mean(axis=1)).all()


def test_far_ahead_it_rolls_and_the_beginning_stays_what_it_was() -> None:
    past, _ = past_and_truth("fast", 31, 160)
    model = Pretrained(PretrainedSettings(horizon=160)).fit(past)
    far, near = model.predict(past, horizon=160), model.predict(past, horizon=128)
    np.testing.assert_allclose(far.quantiles[:, :128], near.quantiles)
    assert np.isfinite(far.quantiles).all()
    width = far.quantiles[..., LEVELS.index(0.9)] - far.quantiles[..., LEVELS.index(0.1)]
    assert np.median(width[:, 128:].mean(axis=1) / width[:, 121:128].mean(axis=1)) > 0.9


def test_far_ahead_what_sells_now_and_then_sells_as_often_as_before() -> None:
    days = [date(2023, 1, 1) + timedelta(k) for k in range(400)]
    generator = np.random.default_rng(5)
    frame = pl.concat([pl.DataFrame({"item": f"i{k}", "location": "x", "date": days,
                                     "sales": (generator.random(400) < 0.2).astype(float)}) for k in range(12)])
    panel = SalesPanel.from_frame(frame, freq="D")
    mean = Pretrained(PretrainedSettings(horizon=256)).fit(panel).predict(panel, horizon=256).mean.mean(axis=0)
    assert 0.12 < mean[:128].mean() < 0.28
    assert 0.7 < mean[128:].mean() / mean[:128].mean() < 1.4


def test_sales_net_of_returns_may_have_a_mean_below_zero() -> None:
    days = [date(2023, 1, 1) + timedelta(k) for k in range(200)]
    generator = np.random.default_rng(6)
    frame = pl.concat([pl.DataFrame({"item": f"i{k}", "location": "x", "date": days, "sales": generator.normal(-3.0, 1.0, 200)})
                       for k in range(6)])
    panel = replace(SalesPanel.from_frame(frame, freq="D"), net_of_returns=True)
    made = Pretrained(PretrainedSettings(horizon=14)).fit(panel).predict(panel, horizon=14)
    assert made.mean.mean() < -1.5


@pytest.mark.parametrize("unit", ["Q", "Y"])
def test_quarters_and_years_are_forecast_too(unit: str) -> None:
    months = {"Q": 3, "Y": 12}[unit]
    dates = [date(1990 + (k * months) // 12, (k * months) % 12 + 1, 1) for k in range(24)]
    frame = pl.concat([pl.DataFrame({"item": f"i{k}", "location": "x", "date": dates, "sales": [100.0 + 10 * k] * 24})
                       for k in range(3)])
    panel = SalesPanel.from_frame(frame, freq=unit)
    made = Pretrained(PretrainedSettings(horizon=4)).fit(panel).predict(panel, horizon=4)
    np.testing.assert_allclose(made.mean, 100.0 + 10 * np.arange(3)[:, None] * np.ones(4), rtol=0.15)


def test_the_longest_context_is_taken_and_a_longer_one_is_refused() -> None:
    past, _ = past_and_truth("fast", 32, 28)
    made = Pretrained(PretrainedSettings(context=MOST_CONTEXT, horizon=28)).fit(past).predict(past, horizon=28)
    assert np.isfinite(made.quantiles).all()
    with pytest.raises(SettingsError, match=r"1,025.*1,024 periods at most"):
        PretrainedSettings(context=MOST_CONTEXT + 1)


@pytest.mark.parametrize("periods", [1, 2, 3])
def test_a_panel_of_hardly_any_history_is_forecast(periods: int) -> None:
    days = [date(2024, 1, 1) + timedelta(k) for k in range(periods)]
    frame = pl.DataFrame({"item": ["a"] * periods + ["b"] * periods, "location": "x", "date": days * 2,
                          "sales": [4.0] * periods + [9.0] * periods})
    panel = SalesPanel.from_frame(frame, freq="D")
    made = Pretrained(PretrainedSettings(horizon=7)).fit(panel).predict(panel, horizon=7)
    assert np.isfinite(made.quantiles).all()
    assert (made.quantiles >= 0).all()
    assert 2 < made.mean[0].mean() < 7 < made.mean[1].mean() < 12


def test_a_new_item_is_forecast_from_its_siblings() -> None:
    days = [date(2024, 1, 1) + timedelta(k) for k in range(60)]
    sold = {"a": 20.0, "b": 22.0, "new": None}
    frame = pl.concat([pl.DataFrame({"item": item, "location": place, "date": days,
                                     "sales": [None if (level is None and place == "y") else (level or 21.0) * size] * 60},
                                    schema_overrides={"sales": pl.Float64})
                       for item, level in sold.items() for place, size in (("x", 1.0), ("y", 2.0))])
    panel = SalesPanel.from_frame(frame, freq="D")
    made = Pretrained(PretrainedSettings(horizon=7)).fit(panel).predict(panel, horizon=7)
    at = panel.series.with_row_index("n").filter((pl.col("item") == "new") & (pl.col("location") == "y"))["n"][0]
    assert 15 < made.mean[at].mean() < 70  # 42, if it sells there as its siblings do; nobody told that it sold anything


def test_the_number_of_series_asked_at_once_changes_nothing() -> None:
    past, _ = past_and_truth("monthly", 24, 6)
    model = Pretrained(PretrainedSettings(horizon=6)).fit(past)
    few = Pretrained(PretrainedSettings(horizon=6, series=1)).fit(past)
    whole = model.predict(past, horizon=6).quantiles
    np.testing.assert_allclose(few.predict(past, horizon=6).quantiles, whole, rtol=1e-3, atol=1e-3)


def test_a_saved_model_forecasts_the_same_without_the_box(tmp_path: Path) -> None:
    past, _ = past_and_truth("brands", 22, 8)
    model = make_model("pretrained", {"horizon": 8}).fit(past)
    save_model(model, tmp_path / "model", panel=past)
    again = load_model(tmp_path / "model", panel=past)
    np.testing.assert_array_equal(again.predict(past, horizon=8).quantiles, model.predict(past, horizon=8).quantiles)


def test_weights_that_are_not_there_are_named_with_those_that_are() -> None:
    with pytest.raises(WeightsError, match=r"no pretrained weights 'huge'.*tiny"):
        Pretrained(PretrainedSettings(weights="huge")).fit(hourly_panel(10))


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(read_weights("tiny").folder, folder)
    data = bytearray((folder / GRAPH).read_bytes())
    data[-100] ^= 1
    (folder / GRAPH).write_bytes(data)
    with pytest.raises(WeightsError, match="damaged or was changed"):
        read_weights(folder)
    shutil.copy(read_weights("tiny").folder / GRAPH, folder / GRAPH)
    card = json.loads((folder / CARD).read_text()) | {"format": 99}
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="format 99"):
        read_weights(folder)


def test_the_weights_in_the_box_were_trained_on_simulated_sales_alone() -> None:
    assert "tiny" in boxed()
    for name in boxed():
        assert read_weights(name).card["trained_on"].startswith("simulated sales only")


def test_sold_out_days_are_no_zero_demand() -> None:
    days = [date(2024, 1, 1) + timedelta(k) for k in range(120)]
    generator = np.random.default_rng(1)
    asked = generator.poisson(10.0, (8, 120)).astype(float)
    gone = generator.random((8, 120)) < 0.4
    frame = pl.concat([pl.DataFrame({"item": f"i{k}", "location": "x", "date": days, "sales": np.where(gone[k], 0.0, asked[k]),
                                     "available": np.where(gone[k], 0.0, 1.0)}) for k in range(8)])
    told = SalesPanel.from_frame(frame, freq="D", past=["available"])
    untold = SalesPanel.from_frame(frame.drop("available"), freq="D")
    means = [Pretrained(PretrainedSettings(horizon=14)).fit(p).predict(p, horizon=14).mean.mean() for p in (told, untold)]
    assert means[0] > 1.2 * means[1]
    assert replace(told, tables=()).holds == "sales"
