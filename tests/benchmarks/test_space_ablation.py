"""The sets on which space is judged, and the table of the ablation: what is run, what is compared, what is skipped."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from shelfcast.world.blueprint import ChainSettings, without
from shelfcast.world.chain import demo_chain

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def ablation(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, found as the benchmark finds it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("space_ablation")


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("space_sets")


def test_the_network_without_space_comes_first_and_once_for_each_encoder(ablation):
    made = list(ablation.cells(["iowa"], ["mlp", "gru"], ["none", "graph", "attention"], ["gate", "concat"]))
    assert len(made) == 2 * (1 + 2 * 2)
    assert made[0] == made[1].without == made[4].without and made[5].spatial == "none"
    assert made[0].options == {"temporal": "mlp", "spatial": "none"}
    assert made[1].options == {"temporal": "mlp", "spatial": "graph", "fusion": "gate"}


def losses_by_chance() -> pl.DataFrame:
    """Losses of one model: 4 windows, 30 places."""
    random, base = np.random.default_rng(0), []
    for window in range(4):
        for place in range(30):
            loss = random.gamma(2.0)
            base.append({"window": window, "cutoff": date(2024, 1, 1 + window), "model": "x", "item": "i", "location": place,
                         "class": "smooth", "cells": 4, "actual": 10.0, "scale": 1.0, "quantile": loss, "quantile_scaled": loss,
                         "absolute": 1.0, "square": 1.0, "excess": 0.0, "absolute_scaled": 1.0, "inside": 1, "when": str(window)})
    return pl.DataFrame(base)


def test_skill_over_no_space_is_paired_by_series_and_window(ablation):
    none, random = losses_by_chance(), np.random.default_rng(1)
    better = none.with_columns(pl.col("quantile", "quantile_scaled") * 0.9)
    found = ablation.skills([better], [none])["SQL"]
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))  # what both share cancels
    noisy = none.with_columns(pl.Series("quantile_scaled", none["quantile_scaled"].to_numpy() * random.uniform(0.8, 1.2, 120)))
    assert not ablation.skills([noisy], [none])["SQL"].leaves_zero_out


def test_trainings_that_lie_apart_widen_the_interval_of_a_skill(ablation):
    none = losses_by_chance()

    def worse(by):
        return none.with_columns(pl.col("quantile", "quantile_scaled") * by)

    alike = ablation.skills([worse(0.9)] * 3, [worse(1.0)] * 3)["SQL"]
    assert (alike.value, alike.low, alike.high) == pytest.approx((0.1, 0.1, 0.1))
    apart = ablation.skills([worse(0.8), worse(0.9), worse(1.0)], [worse(0.9), worse(1.0), worse(1.1)])["SQL"]
    assert apart.value == pytest.approx(0.1) and apart.low < 0 < apart.high
    said = ablation.scores([worse(0.9), worse(1.0), worse(1.1)])
    assert said["SQL deviation"] == pytest.approx(0.1) and said["SQL"] == pytest.approx(ablation.scores([none])["SQL"])


def test_a_setting_whose_row_is_there_for_this_commit_is_skipped(ablation, tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "HERE", tmp_path)
    runs = ablation.Runs("spacetime", {"steps": 100}, (0, 1), tmp_path, "abc")
    cell = ablation.Cell("iowa", "mlp", "graph", "gate")
    assert not ablation.measured(cell, runs)
    (tmp_path / "results").mkdir()
    row = {"commit": "abd", "set": "iowa", "temporal": "mlp", "spatial": "graph", "fusion": "gate", **runs.about}
    pl.DataFrame([row]).write_csv(tmp_path / "results/space_ablation.csv")
    assert ablation.measured(cell, runs)
    assert not ablation.measured(cell, ablation.Runs("spacetime", {"steps": 200}, (0, 1), tmp_path, "abc"))
    assert not ablation.measured(cell, ablation.Runs("spacetime", {"steps": 100}, (0, 1), tmp_path, "abd"))


def test_the_table_shows_the_newest_row_and_marks_what_leaves_zero_out(ablation):
    row = {"set": "iowa", "temporal": "mlp", "spatial": "graph", "fusion": "gate", "model": "spacetime", "settings": "steps=100",
           "seed": 0, "begun": "abc", "SQL": 0.51, "WQL": 0.31, "fit_s": 60.0, "parameters": 12_345,
           "SQL skill": 0.03, "SQL skill low": 0.01, "SQL skill high": 0.05,
           "WQL skill": 0.01, "WQL skill low": -0.01, "WQL skill high": 0.03}
    text = ablation.markdown(pl.DataFrame([row | {"SQL": 0.99}, row]))
    assert "0.99" not in text and "**+3.0% (+1.0% to +5.0%)**" in text and "| +1.0% (-1.0% to +3.0%) |" in text
    assert "steps=100" in text and "12,345" in text


def test_iowa_is_chosen_without_a_look_at_the_test_year(sets):
    first = date(2019, 1, 7)
    rows = []
    for store in range(6):
        for item, often in (("rum", 1), ("gin", 2)):
            rows += [{"item": item, "location": store, "date": first + timedelta(7 * w), "sales": 5.0 + (item == "rum")}
                     for w in range(0, 100, often)]
    rows.append({"item": "rum", "location": 99, "date": date(2019, 2, 4), "sales": 3.0})
    early = pl.DataFrame(rows)
    places = pl.DataFrame({"location": [0, 1, 2, 3, 4, 99]})  # the sixth store has no coordinates
    later = pl.DataFrame([{"item": item, "location": 99, "date": date(2021, 1, 4) + timedelta(7 * w), "sales": 1e6}
                          for w in range(50) for item in ("rum", "beer")])
    found = sets.chosen_series(early, places, categories=2)
    assert found.equals(pl.DataFrame({"item": ["rum"] * 5, "location": [0, 1, 2, 3, 4]}))  # gin sold in half of the weeks
    assert sets.chosen_series(pl.concat([early, later]), places, categories=2).equals(found)


@pytest.mark.parametrize(("by", "freq"), [("category", "D"), ("category", "W"), ("all", "W")])
def test_a_simulated_panel_adds_up_to_what_the_chain_sold(sets, by, freq):
    chain = demo_chain(without(ChainSettings(seed=2, places=3, items=12, days=140, horizon=14), "gaps", "growth"))
    panel = sets.panel_of(chain, by=by, freq=freq)
    assert len(panel) == (3 if by == "all" else 3 * 6)
    assert panel.rows["sales"].sum() == chain.history["sales"].sum()
    assert panel.frequency.date(panel.cutoff) <= chain.cutoff and panel.horizon_given() == (14 if freq == "D" else 2)
    assert set(panel.categories) >= {"event", "region"}


def test_a_week_with_a_day_that_nobody_reported_is_not_known(sets):
    chain = demo_chain(without(ChainSettings(seed=2, places=2, items=6, days=140, horizon=14), "gaps"))
    lost = chain.sales.filter(~((pl.col("location") == "S01") & (pl.col("date") == date(2021, 12, 8))))
    panel = sets.panel_of(replace(chain, sales=lost), by="all", freq="W")
    missing = panel.to_frame().filter(pl.col("sales").is_null() & (pl.col("date") <= chain.cutoff))
    assert missing.select("location", "date").rows() == [("S01", date(2021, 12, 6))]
