"""Demand classes: by the book, the same from rows as from arrays, and quick."""

import time
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.data.classes import demand_classes, demand_figures
from shelfcast.panel import CovariateTable, SalesPanel
from shelfcast.periods import Frequency


def panel_of(series: dict[str, list[float | None]], **rest) -> SalesPanel:
    rows = [{"item": k, "location": "here", "period": 100 - len(v) + t + 1, "sales": x}
            for k, v in series.items() for t, x in enumerate(v) if x is not None]
    table = pl.DataFrame(rows, schema={"item": pl.String, "location": pl.String, "period": pl.Int32, "sales": pl.Float64})
    return SalesPanel.from_periods(table, Frequency("D"), cutoff=100, **rest)


def test_the_classes_of_syntetos_and_boylan():
    panel = panel_of({
        "erratic": [1.0, 9.0, 1.0, 1.0, 30.0] * 8, "intermittent": [5.0, 0.0] * 20, "lumpy": [1.0, 0.0, 20.0, 0.0] * 10,
        "new": [5.0] * 27, "never": [0.0] * 40, "smooth": [5.0, 6.0, 5.0, 4.0] * 10,
    })
    found = dict(zip(panel.series["item"], demand_classes(panel), strict=True))
    assert found == {"erratic": "erratic", "intermittent": "intermittent", "lumpy": "lumpy", "new": "new",
                     "never": "intermittent", "smooth": "smooth"}


def test_figures_by_hand():
    figures = demand_figures(panel_of({"a": [2.0, 0.0, 4.0, 0.0]}))
    assert figures.row(0) == (4, 2.0, pytest.approx(1 / 9))  # mean 3, variance 1


def test_a_gap_counts_as_a_period_only_where_it_means_nothing_sold():
    values = {"a": [2.0, None, None, 4.0]}
    assert demand_figures(panel_of(values, absent="missing")).row(0)[:2] == (2, 1.0)
    assert demand_figures(panel_of(values, absent="zero")).row(0)[:2] == (4, 2.0)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), absent=st.sampled_from(["zero", "missing"]))
def test_rows_and_arrays_give_the_same_figures_with_closed_days_left_out(data, absent):
    value = st.one_of(st.none(), st.just(0.0), st.integers(-2, 30).map(float))
    opens = st.sampled_from([0.0, 1.0, None])
    rows = [{"item": k, "location": "here", "period": t, "sales": data.draw(value), "open": data.draw(opens)}
            for k in "ab" for t in sorted({100, *data.draw(st.sets(st.integers(80, 104), max_size=12))})]
    schema = {"item": pl.String, "location": pl.String, "period": pl.Int32, "sales": pl.Float64, "open": pl.Float64}
    in_rows = SalesPanel.from_periods(pl.DataFrame(rows, schema=schema), Frequency("D"), cutoff=100, covariates={"open": "known"},
                                      absent=absent, closed_when="open")
    keyed = in_rows.rows.join(in_rows.series.with_row_index("series"), on="series").select("item", "location", "period", "open")
    in_table = replace(in_rows, rows=in_rows.rows.drop("open"), tables=(CovariateTable(keyed),))
    one, two = demand_figures(in_rows), demand_figures(in_table)
    assert one["periods"].equals(two["periods"])
    np.testing.assert_allclose(one["adi"], two["adi"])
    np.testing.assert_allclose(one["cv2"], two["cv2"], atol=1e-12)


def test_weeks_are_new_for_a_quarter_of_a_year():
    table = pl.DataFrame({"date": [date(2024, 1, 1) + timedelta(weeks=w) for w in range(12)], "sales": 3.0})
    assert demand_classes(SalesPanel.from_frame(table, freq="W")).to_list() == ["new"]


@pytest.mark.slow
def test_a_million_rows_take_less_than_a_second():
    n, t = 20_000, 50
    table = pl.DataFrame({"item": np.repeat(np.arange(n), t), "location": "x", "period": np.tile(np.arange(t), n).astype(np.int32),
                          "sales": np.random.default_rng(0).poisson(2, n * t).astype(float)})
    panel = SalesPanel.from_periods(table, Frequency("D"))
    start = time.perf_counter()
    demand_classes(panel)
    assert time.perf_counter() - start < 1
