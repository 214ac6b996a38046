"""`--hierarchy` and `--reconcile` through the workflow: sums beside series, and everything adds up."""

import json
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast import workflow
from shelfcast.errors import SettingsError, UnknownNameError
from shelfcast.forecast import Forecast
from shelfcast.settings import ForecastSettings

DAYS, HORIZON = 70, 7


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two categories of items at three places in two regions, seventy days with a week's rhythm."""
    folder = tmp_path_factory.mktemp("chain")
    rng = np.random.default_rng(0)
    rows = [{"item": item, "location": place, "date": date(2024, 1, 1) + timedelta(days=d), "sales": int(sold)}
            for item in ("jam", "tea", "rum") for place in ("A", "B", "C")
            for d, sold in enumerate(rng.poisson(6 + 3 * np.sin(2 * np.pi * np.arange(DAYS) / 7)))]
    pl.DataFrame(rows).write_csv(folder / "sales.csv")
    pl.DataFrame({"item": ["jam", "tea", "rum"], "category": ["sweet", "drink", "drink"]}).write_csv(folder / "items.csv")
    pl.DataFrame({"location": ["A", "B", "C"], "region": ["north", "north", "south"]}).write_csv(folder / "places.csv")
    return folder


def asked(files, **changes):
    return ForecastSettings(**{"sales": files / "sales.csv", "static": (files / "items.csv", files / "places.csv"),
                               "model": "naive", "horizon": HORIZON, "backtest": False, "hierarchy": ("category", "region"),
                               **changes})


@pytest.mark.parametrize("how", ["mint", "bottom_up"])
def test_a_run_holds_a_file_for_each_level_and_their_means_add_up(files, tmp_path, how):
    said = []
    result = workflow.forecast(asked(files, reconcile=how, run=tmp_path / "run", out=tmp_path / "f.parquet"), say=said.append)
    assert result.summary["levels"]["levels"] == {"total": 1, "category": 2, "region": 2, "category x region": 4}
    assert result.summary["levels"]["largest_gap"] <= 1e-6
    bottom = Forecast.load(tmp_path / "f.parquet")
    levels = {path.stem: Forecast.load(path) for path in (tmp_path / "run" / "levels").iterdir()}
    assert set(levels) == {"total", "category", "region", "category-x-region"}
    assert np.allclose(levels["total"].mean[0], bottom.mean.sum(axis=0), atol=1e-6)
    drinks = (bottom.series["item"] != "jam").to_numpy()
    assert np.allclose(levels["category"].mean[0], bottom.mean[drinks].sum(axis=0), atol=1e-6)
    assert np.allclose(Forecast.load(tmp_path / "run" / "forecast.parquet").mean, bottom.mean)
    assert any(("28 past errors" if how == "mint" else "28 past periods") in sentence for sentence in said)
    assert "reconcile = " in (tmp_path / "run" / "settings.toml").read_text()
    json.dumps(result.summary["levels"])


def test_unless_said_the_way_is_tried_on_the_past_and_each_level_is_scored(files, tmp_path):
    said = []
    levels = workflow.forecast(asked(files, out=tmp_path / "f.parquet"), say=said.append).summary["levels"]
    scores = levels["replayed"]["relative_error"]
    assert set(scores) == {"bottom_up", "top_down", "wls", "mint"} and scores["bottom_up"] == 1
    assert levels["method"] == min(scores, key=scores.get)
    assert set(levels["replayed"]["wape"]["mint"]) == {"total", "category", "region", "category x region", "bottom"}
    assert any(f"{levels['method']} is kept" in sentence for sentence in said)
    short = workflow.forecast(asked(files, horizon=40), say=said.append).summary["levels"]
    assert short["method"] == "bottom_up" and any("too short to try" in sentence for sentence in said)


def test_levels_agree_with_the_overridden_series_too(files, tmp_path):
    pl.DataFrame({"item": ["jam"], "location": ["A"], "first": ["2024-03-11"], "last": ["2024-03-12"], "kind": ["add"],
                  "amount": [500.0], "who": ["kim"], "when": ["2024-03-01"], "why": ["fair"]}).write_csv(tmp_path / "o.csv")
    result = workflow.forecast(asked(files, reconcile="bottom_up", overrides=tmp_path / "o.csv", run=tmp_path / "run"))
    run = tmp_path / "run"
    for folder, series in (("levels", "forecast.parquet"), ("overridden-levels", "overridden.parquet")):
        total = Forecast.load(run / folder / "total.parquet")
        assert np.allclose(total.mean[0], Forecast.load(run / series).mean.sum(axis=0), atol=1e-6)
    more = Forecast.load(run / "overridden-levels" / "total.parquet").mean - Forecast.load(run / "levels" / "total.parquet").mean
    assert more.sum() == pytest.approx(1000) and result.summary["levels"]["largest_gap"] <= 1e-6


def test_without_reconciling_series_stay_as_they_were_and_the_gap_is_told(files, tmp_path):
    plain = workflow.forecast(asked(files, hierarchy=(), out=tmp_path / "plain.parquet"))
    apart = workflow.forecast(asked(files, reconcile="none", out=tmp_path / "apart.parquet"))
    assert plain.summary["levels"] is None
    assert "do not add up: the largest gap is" in " ".join(apart.summary["levels"]["told"])
    assert pl.read_parquet(tmp_path / "plain.parquet").equals(pl.read_parquet(tmp_path / "apart.parquet"))


def test_a_past_too_short_to_replay_is_said_and_weighed_by_the_number_of_series(files):
    said = []
    result = workflow.forecast(asked(files, horizon=40, reconcile="mint"), say=said.append)
    assert any("too short to replay" in sentence for sentence in said) and result.summary["levels"]["largest_gap"] <= 1e-6
    assert any("give --run FOLDER" in sentence for sentence in said)


def test_what_cannot_be_summed_is_refused_by_name(files):
    with pytest.raises(UnknownNameError, match="Did you mean 'category'"):
        workflow.forecast(asked(files, hierarchy=("categry",)))
    with pytest.raises(SettingsError, match="needs sums to agree with: give --hierarchy"):
        asked(files, hierarchy=(), reconcile="mint")
    with pytest.raises(UnknownNameError, match="Did you mean 'mint'"):
        asked(files, reconcile="mnt")
