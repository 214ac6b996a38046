"""Series that end at their own dates: cut where each ends, shown no more than it had, and scored as the public benchmark does."""

import importlib.util
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from shelfcast.data.split import windows
from shelfcast.evaluate.backtest import measure
from shelfcast.forecast import Forecast
from shelfcast.models.base import Traits
from shelfcast.models.registry import make_model
from shelfcast.panel import CovariateTable, SalesPanel

DECILES = tuple(i / 10 for i in range(1, 10))
MONDAY = date(2024, 1, 1)
ENDS = (30, 24, 30, 19)  # days of each series


class LastValue:
    """The last sale that is known, at every level."""

    traits = Traits(name="last", summary="Repeats the last value.", needs_fit=False)

    def fit(self, panel: SalesPanel) -> "LastValue":
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: tuple[float, ...] = DECILES) -> Forecast:
        sales = pl.DataFrame(panel.dense(covariates=()).sales.T).fill_nan(None).fill_null(strategy="forward").fill_null(0.0)
        last = np.repeat(sales.to_numpy()[-1][:, None], horizon, axis=1)
        quantiles = np.repeat(last[:, :, None], len(levels), axis=2)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, levels, quantiles, last)


def chain(*, absent: str = "missing", later: float = 1.0, of: int = 0, after: int = 99) -> SalesPanel:
    """Four series that end on days of their own; sales and visits of series `of` after its day `after` are times `later`."""
    rows = [{"item": f"item {i}", "location": "Oslo", "date": MONDAY + timedelta(days=d), "promo": float(d % 3 == 0),
             "sales": (10.0 * i + d) * (later if i == of and d > after else 1.0),
             "visits": float(d) * (later if i == of and d > after else 1.0)}
            for i, days in enumerate(ENDS) for d in range(days) if d % 7 != 5]
    panel = SalesPanel.from_frame(pl.DataFrame(rows), freq="D", known=["promo"], past=["visits"], absent=absent)
    first = panel.frequency.number(MONDAY)
    event = CovariateTable(pl.DataFrame({"period": np.arange(first, first + 40, dtype=np.int32), "event": np.arange(40.0)}))
    return replace(panel, tables=(event,), covariates={**panel.covariates, "event": "known"})


@pytest.mark.parametrize("absent", ["missing", "zero"])
def test_each_series_is_cut_at_its_own_end_and_shows_nothing_later(absent):
    panel = chain(absent=absent)
    first = panel.frequency.number(MONDAY)
    for k, window in zip((1, 0), windows(panel, horizon=4, count=2, own_ends=True), strict=True):
        last = [max(d for d in range(days) if d % 7 != 5) for days in ENDS]
        np.testing.assert_array_equal(window.cutoffs, [first + d - 4 * (k + 1) for d in last])
        dense = window.past.dense(covariates=("visits",))
        for i, cutoff in enumerate(window.cutoffs):
            for values in (dense.sales, dense.past["visits"]):
                assert np.isnan(values[i, cutoff - first + 1:]).all()
            whole = panel.dense(covariates=()).sales[i]
            np.testing.assert_array_equal(dense.sales[i, : cutoff - first + 1], whole[: cutoff - first + 1])
            np.testing.assert_array_equal(window.truth()[i], whole[cutoff - first + 1 : cutoff - first + 5])


def test_series_of_one_cutoff_are_forecast_together_with_their_known_future():
    (window,) = windows(chain(), horizon=4, own_ends=True)
    groups = list(window.by_cutoff())
    assert sorted(int(i) for at, _ in groups for i in at) == [0, 1, 2, 3] and [len(at) for at, _ in groups] == [1, 1, 2]
    for at, panel in groups:
        assert (window.cutoffs[at] == panel.cutoff).all() and panel.given("promo", 4).all() and panel.given("event", 4).all()
        assert panel.dense().sales.shape[1] == panel.cutoff - panel.frequency.number(MONDAY) + 1


@pytest.mark.parametrize("of", [0, 3])
def test_what_a_series_sells_after_its_own_cutoff_changes_no_forecast(of):
    """Series 3 ends eleven days before the others: what it sells within its window lies before their cutoffs."""
    (one,) = windows(chain(), horizon=4, own_ends=True)
    after = int(one.cutoffs[of] - one.past.frequency.number(MONDAY))
    (two,) = windows(chain(later=50.0, of=of, after=after), horizon=4, own_ends=True)
    assert one.past.fingerprint() == two.past.fingerprint() and not np.array_equal(one.truth(), two.truth())
    for name in ("naive", "profile"):
        found = [measure(w, make_model(name).fit(w.past), levels=DECILES).losses["scale"].to_list() for w in (one, two)]
        made = [[make_model(name).fit(w.past).predict(p, horizon=4).quantiles for _, p in w.by_cutoff()] for w in (one, two)]
        assert found[0] == found[1]
        for before, now in zip(*made, strict=True):
            np.testing.assert_array_equal(before, now)


def test_without_ends_of_their_own_the_same_series_are_cut_together():
    (window,) = windows(chain(), horizon=4)
    assert window.cutoffs is None and [len(at) for at, _ in window.by_cutoff()] == [4]
    assert np.isnan(window.truth()[3]).all()  # it had ended before


def load_benchmark(public_data: Path) -> ModuleType:
    path = public_data.parent / "bench" / "fev_tasks.py"
    if not path.is_file():
        pytest.skip("needs the public benchmark's scoring, which is not beside the public data sets")
    pytest.importorskip("pandas")
    spec = importlib.util.spec_from_file_location("fev_tasks_own_ends", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.data
@pytest.mark.slow
def test_scores_on_walmart_are_those_of_the_public_benchmark_and_as_published(public_data):
    """2,936 weekly series that end on many dates; the naive forecast of the last value in the benchmark's own window."""
    import pandas as pd

    bench = load_benchmark(public_data)
    task = bench.walmart(public_data)
    (past, truth), = bench.windows(task)
    expected = bench.score(past, truth, bench.seasonal_naive(past, task.horizon, task.season), task.season)
    published = pd.read_csv(public_data.parent / "published" / "fev_bench_retail.csv").set_index(["task_name", "model_name"])
    table = pl.read_parquet(public_data / "walmart" / "train.parquet").filter(pl.len().over("Store", "Dept") >= 79)
    table = table.select(pl.col("Dept").alias("item"), pl.col("Store").alias("location"), pl.col("Date").alias("date"),
                         pl.col("Weekly_Sales").alias("sales"))
    panel = SalesPanel.from_frame(table, freq="W-FRI", net_of_returns=True)
    (window,) = windows(panel, horizon=task.horizon, own_ends=True)
    found = measure(window, LastValue().fit(window.past), levels=DECILES)
    scores = dict(found.scores.filter(pl.col("kind") == "all").select("metric", "value").iter_rows())
    assert len(window.past) == expected["series"] and len(np.unique(window.cutoffs)) > 10
    for name in ("SQL", "WQL", "WAPE", "MASE"):
        assert scores[name] == pytest.approx(expected[name], rel=1e-6), name
    for name in ("WAPE", "MASE"):
        assert scores[name] == pytest.approx(published.loc[("walmart", "Seasonal Naive"), name], rel=1e-3), name
