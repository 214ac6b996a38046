"""The oracle of the demo chain's shocks: its law against simulated futures, what it may look at, and the share that is measured."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from shelfcast.evaluate.contest import contest_of, named_windows
from shelfcast.models.registry import make_model
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel
from shelfcast.world import chain
from shelfcast.world.blueprint import ChainSettings, Shocks
from shelfcast.world.retailer import between
from shelfcast.world.shocks import travelling_shocks

ROOT = Path(__file__).resolve().parent.parent.parent
LINE = np.array([0.0, 120.0, 200.0, 700.0])  # kilometres along a road
DAYS = 160


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, found as the benchmark finds it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("space_oracle")


def law_of(oracle: ModuleType, **shocks: list[float]):
    """Shocks between four places along a road."""
    columns = {k: np.array(v, dtype=np.int64 if k == "origin" else float) for k, v in shocks.items()}
    return oracle.ShockLaw(Shocks(), np.abs(LINE[:, None] - LINE[None, :]), DAYS, **columns)


def effects(law, *, origin, start, size, speed, life, days: int = DAYS) -> np.ndarray:
    """(K, P, days) of single shocks, by the world's own mechanism."""
    return travelling_shocks(law.away[origin], days, start=start, size=size, speed=speed, life=life, reach=law.settings.reach,
                             rise=law.settings.rise)


def prior(law, count: int, seed: int) -> dict[str, np.ndarray]:
    """Parameters of shocks as the world draws them."""
    random = np.random.default_rng(seed)
    return {"origin": random.integers(len(law.away), size=count), "size": law.settings.size * random.standard_normal(count),
            "start": chain._shock_start({"shock_day": random.random(count)}, law.days),  # type: ignore[arg-type]
            "speed": between(law.settings.speed, random.random(count)), "life": between(law.settings.life, random.random(count))}


def close(found: np.ndarray, draws: np.ndarray, *, also: float = 0.0) -> bool:
    """Whether the mean of draws agrees with what was found, within four and a half standard errors of the mean."""
    error = draws.std(axis=0) / np.sqrt(len(draws))
    return bool((np.abs(draws.mean(axis=0) - found) <= 4.5 * error + also).all())


def test_the_law_is_that_of_the_world_that_made_the_chain(oracle):
    settings = ChainSettings(seed=3, places=5, items=2, days=120, horizon=14)
    law, made = oracle.ShockLaw.of(settings), chain.demo_chain(settings)
    names = made.places["location"].to_list()
    days = made.truth.days.select("location", "date", "shocks").unique(["location", "date"])
    column = ((days["date"] - settings.first).dt.total_days()).to_numpy()
    row = np.array([names.index(n) for n in days["location"]])
    assert law.field.shape == (5, 134) and np.abs(law.field).max() > 0.01
    np.testing.assert_allclose(law.field[row, column], days["shocks"].to_numpy(), atol=1e-6)


def test_a_shock_that_has_arrived_elsewhere_is_continued_exactly(oracle):
    law = law_of(oracle, origin=[0, 2], start=[10.0, 40.0], size=[0.5, -0.4], speed=[20.0, 40.0], life=[60.0, 30.0])
    ahead = law.ahead(60, 20)
    np.testing.assert_allclose(ahead.mean, law.field[:, 61:81], rtol=1e-12)
    assert np.abs(ahead.mean[3]).max() > 0.01  # the far place, which the second shock reaches within the horizon
    np.testing.assert_allclose(ahead.variance, 0.0, atol=1e-15)


def test_mean_and_variance_are_those_of_many_futures_that_share_the_past(oracle):
    """One shock has gone everywhere, one has been seen at its origin alone, two have not come yet."""
    cutoff, horizon = 60, 25
    law = law_of(oracle, origin=[1, 0, 2, 3], start=[5.0, 55.0, 70.0, 99.0], size=[0.6, -0.7, 0.4, 0.3],
                 speed=[40.0, 14.0, 30.0, 20.0], life=[50.0, 60.0, 40.0, 40.0])
    count = 16_000
    seen = effects(law, origin=law.origin[:2], start=law.start[:2], size=law.size[:2], speed=law.speed[:2], life=law.life[:2])
    draws = prior(law, count, seed=1)
    same = {k: np.full(count, getattr(law, k)[1]) for k in ("origin", "start", "size", "life")}
    again = effects(law, **same, speed=draws["speed"], days=cutoff + horizon + 1)
    fits = (again[:, :, :cutoff + 1] == seen[1, :, :cutoff + 1]).all(axis=(1, 2))
    assert 400 < fits.sum() < count  # some speeds are ruled out, since the neighbour has felt nothing
    second = again[fits][:, :, cutoff + 1:]
    coming = []
    for seed in (2, 3):  # the world draws starts on all days; those kept have not been felt by the cutoff
        late = prior(law, count, seed=seed)
        kept = late["start"] >= cutoff
        coming.append(effects(law, **{k: v[kept] for k, v in late.items()}, days=cutoff + horizon + 1)[:, :, cutoff + 1:])
    size = min(len(second), *(len(c) for c in coming))
    futures = seen[0, :, cutoff + 1:cutoff + 1 + horizon] + second[:size] + coming[0][:size] + coming[1][:size]
    ahead = law.ahead(cutoff, horizon)
    assert close(ahead.mean, futures)
    assert close(ahead.variance, (futures - ahead.mean) ** 2, also=2e-5)
    # What is not known matters: the neighbour of the second origin, and every place by the shocks to come.
    assert ahead.variance[1].max() > 1e-3 and ahead.variance[3, -1] > 1e-3


def test_on_its_first_day_a_shock_tells_neither_how_large_it_is_nor_how_long_it_lives(oracle):
    cutoff, horizon = 30, 40
    law = law_of(oracle, origin=[0], start=[29.0], size=[0.5], speed=[20.0], life=[30.0])
    draws = prior(law, 4_000_000, seed=4) | {"origin": np.zeros(4_000_000, dtype=np.int64), "start": np.full(4_000_000, 29.0)}
    value = draws["size"] * -np.expm1(-1 / law.settings.rise) * np.exp(-1 / draws["life"])
    near = np.abs(value - law.field[0, cutoff]) < 2e-4
    assert near.sum() > 1_000
    kept = {k: v[near] for k, v in draws.items()}
    futures = effects(law, **kept, days=cutoff + horizon + 1)[:, :, cutoff + 1:]
    ahead = law.ahead(cutoff, horizon)
    assert close(ahead.mean, futures, also=1e-3)
    assert ahead.variance[0].max() > 1e-4  # not known although it is the origin
    assert close(ahead.variance, (futures - ahead.mean) ** 2, also=1e-4)


def test_the_oracle_does_not_look_beyond_the_cutoff(oracle):
    panel = small_panel()
    laws = [law_of(oracle, origin=[0, 2], start=[10.0, 130.0], size=[0.5, size], speed=[20.0, 30.0], life=[60.0, 40.0])
            for size in (0.1, 0.9)]
    made = [told(oracle, law, panel).fit(panel).predict(panel, horizon=7, levels=LEVELS) for law in laws]
    np.testing.assert_array_equal(made[0].quantiles, made[1].quantiles)
    earlier = replace(laws[0], size=np.array([0.6, 0.1]))
    assert not np.allclose(told(oracle, earlier, panel).fit(panel).predict(panel, horizon=7, levels=LEVELS).mean, made[0].mean)


@pytest.mark.parametrize("length", [1, 7])
def test_sales_that_are_nothing_but_shocks_are_level_without_them(oracle, length):
    law = law_of(oracle, origin=[0], start=[10.0], size=[0.5], speed=[20.0], life=[60.0])
    panel = small_panel(field=law.field, length=length)
    bare = told(oracle, law, panel, length=length).without_shocks(panel)
    np.testing.assert_allclose(bare.rows["sales"].to_numpy(), 100.0, rtol=1e-12)
    assert panel.rows["sales"].to_numpy().max() > 110


def small_panel(field: np.ndarray | None = None, length: int = 1) -> SalesPanel:
    """Four places, 119 days or 17 weeks, 100 a period times the shocks."""
    count = 119 // length
    factor = np.ones((4, count)) if field is None else np.exp(field[:, :119]).reshape(4, count, length).mean(axis=2)
    first = date(2024, 1, 1)
    days = [first + timedelta(length * t) for t in range(count)]
    table = pl.DataFrame({"location": np.repeat(["a", "b", "c", "d"], count), "date": days * 4, "sales": 100 * factor.ravel()})
    return SalesPanel.from_frame(table, freq="D" if length == 1 else "W")


def told(oracle: ModuleType, law, panel: SalesPanel, length: int = 1):
    return oracle.Oracle(make_model("naive"), law, first=panel.frequency.number(date(2024, 1, 1)), length=length,
                         places=["a", "b", "c", "d"])


def test_the_quantiles_of_a_product_are_those_of_simulated_products(oracle):
    random = np.random.default_rng(5)
    sold, shock = random.gamma(4.0, 10.0, 400_000), random.normal(0.2, 0.3, 400_000)
    levels = tuple(np.linspace(0.01, 0.99, 99))
    cube = np.quantile(sold, levels)[None, None, :]
    made = oracle.times_lognormal(cube, levels, np.full((1, 1), 0.2), np.full((1, 1), 0.09))[0, 0]
    expected = np.quantile(sold * np.exp(shock), levels)
    np.testing.assert_allclose(made[4:-4], expected[4:-4], rtol=0.02)
    still = oracle.times_lognormal(cube, levels, np.full((1, 1), 0.2), np.zeros((1, 1)))[0, 0]
    np.testing.assert_allclose(still, cube[0, 0] * np.exp(0.2))
    assert (np.diff(made) >= 0).all()


def test_half_the_way_to_the_oracle_is_a_share_of_one_half(oracle):
    random, rows = np.random.default_rng(6), []
    for window in range(6):
        for place in "abcde":
            loss = random.gamma(3.0)
            for model, times in (("plain", 1.0), ("oracle", 0.8), ("space", 0.9)):
                rows.append({"window": window, "cutoff": date(2024, 1, 1 + window), "model": model, "item": "x", "location": place,
                             "class": "smooth", "cells": 4, "actual": 10.0, "scale": 1.0, "quantile": times * loss,
                             "quantile_scaled": times * loss, "absolute": 1.0, "square": 1.0, "excess": 0.0, "absolute_scaled": 1.0,
                             "inside": 1})
    skill, share = oracle.share_recovered(contest_of(named_windows(pl.DataFrame(rows)), ["plain", "oracle", "space"]), "SQL")
    assert skill.value == pytest.approx(0.2) and share.value == pytest.approx(0.5)
    assert share.low == pytest.approx(0.5) and share.high == pytest.approx(0.5)  # the share is the same everywhere
