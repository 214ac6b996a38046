"""Whatever lines come, cleaning holds its promises."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfcast.data.check import check_sales
from shelfcast.data.clean import CleanSettings, clean_sales
from shelfcast.data.lifecycle import judge
from shelfcast.data.lines import SalesLines
from shelfcast.errors import DataError
from shelfcast.names import DATE, ITEM, LOCATION, SALES
from shelfcast.periods import Frequency

START = date(2023, 12, 25)
TODAY = date(2024, 6, 1)
NAMES = ("milk", "Milk ", "bread", "=1+1", "", None, "ÄPFEL", "äpfel")
COUNTS = st.integers(-5, 20).map(float)
NUMBERS = st.one_of(COUNTS, COUNTS, COUNTS, st.none(), st.sampled_from([float("nan"), float("inf"), -0.0, 0.5, 1e13, -1e300]))
ODD_DAYS = {-3: None, -2: date(9999, 12, 31), -1: date(2024, 12, 1)}


def _row(dates):
    return st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from([1, 1, 1, 2, 2, None]),
        dates,
        NUMBERS,
        st.one_of(st.none(), st.sampled_from([0.0, -1.0, 2.5, float("nan")])),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 1)),
    )


DATES = st.integers(-3, 120).map(lambda n: ODD_DAYS[n] if n < 0 else START + timedelta(days=n))
TABLES = st.lists(_row(DATES), min_size=1, max_size=40)
SCHEMA = {
    ITEM: pl.String,
    LOCATION: pl.Int64,
    DATE: pl.Date,
    SALES: pl.Float64,
    "price": pl.Float64,
    "cancelled": pl.Boolean,
    "Open": pl.Int8,
}
FREQUENCIES = st.sampled_from([None, Frequency("D"), Frequency("W"), Frequency("M")])
SHAPES = st.sampled_from(["transactions", "series"])
HOW = CleanSettings(today=TODAY)
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def _lines(rows, shape="transactions", freq=None) -> SalesLines:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").with_row_index("row")
    return SalesLines(frame.lazy(), "made", shape=shape, freq=freq, covariates={"Open": "known"})


def _cleaned(lines, how=HOW, cutoff=None):
    try:
        return clean_sales(lines, settings=how, cutoff=cutoff)
    except DataError:
        return None


@relaxed
@given(TABLES, SHAPES, FREQUENCIES)
def test_cleaning_a_clean_panel_changes_nothing(rows, shape, freq):
    cleaned = _cleaned(_lines(rows, shape, freq))
    if cleaned is not None:
        again = clean_sales(cleaned.panel, settings=HOW)
        assert again.panel.fingerprint() == cleaned.panel.fingerprint()
        assert set(again.changes["rule"]) <= {"closed"}


@relaxed
@given(TABLES, SHAPES, FREQUENCIES)
def test_cleaning_the_table_of_a_clean_panel_gives_the_same_rows(rows, shape, freq):
    cleaned = _cleaned(_lines(rows, shape, freq))
    if cleaned is None or cleaned.panel.rows[SALES].count() == 0:
        return
    panel = cleaned.panel
    kinds = {n: k for n, k in panel.covariates.items() if n in panel.rows.columns}
    last = panel.frequency.date(panel.cutoff)
    again = clean_sales(
        SalesLines(panel.to_frame().lazy(), "table", freq=panel.frequency, covariates=kinds), settings=HOW, cutoff=last
    ).panel
    assert again.rows.equals(panel.rows, null_equal=True) and again.series.equals(panel.series)


@relaxed
@given(TABLES, SHAPES, FREQUENCIES)
def test_a_clean_panel_is_sorted_finite_and_not_negative(rows, shape, freq):
    cleaned = _cleaned(_lines(rows, shape, freq))
    if cleaned is not None:
        panel = cleaned.panel
        sales = panel.rows[SALES].drop_nulls().to_numpy()
        assert np.isfinite(sales).all() and (sales >= 0).all()
        keys = panel.rows["series"].to_numpy().astype(np.int64) * 10**7 + panel.rows["period"].to_numpy()
        assert (np.diff(keys) > 0).all()
        assert panel.series.equals(panel.series.sort(ITEM, LOCATION))
        assert judge(panel).height == len(panel)


@relaxed
@given(TABLES)
def test_no_unit_is_lost_or_made_when_transactions_are_added_up(rows):
    lines = _lines(rows)
    how = CleanSettings(today=TODAY, returns="net", partial=False, cancelled=False)
    cleaned = _cleaned(lines, how)
    if cleaned is not None:
        usable = (
            lines.frame.collect().join(cleaned.rejected.select("row"), on="row", how="anti")
            if cleaned.rejected.height
            else lines.frame.collect()
        )
        assert cleaned.panel.rows[SALES].sum() == pytest.approx(usable[SALES].sum())
        assert usable.height + cleaned.rejected.height == len(rows)


@relaxed
@given(TABLES, SHAPES)
def test_lines_after_the_cutoff_give_known_covariates_and_nothing_else(rows, shape):
    cutoff = START + timedelta(days=60)
    later = [(i, loc, d, None if d and d > cutoff else s, None if d and d > cutoff else p, c, o) for i, loc, d, s, p, c, o in rows]
    other = [(i, loc, d, 3.0 if d and d > cutoff else s, 9.0 if d and d > cutoff else p, c, o) for i, loc, d, s, p, c, o in rows]
    made = [_cleaned(_lines(r, shape), cutoff=cutoff) for r in (rows, later, other)]
    assert len({None if m is None else m.panel.fingerprint() for m in made}) == 1


@relaxed
@given(TABLES, SHAPES, FREQUENCIES, st.integers(0, 8))
def test_checking_never_fails_and_never_changes_its_input(rows, shape, freq, horizon):
    lines = _lines(rows, shape, freq)
    before = lines.frame.collect()
    findings = check_sales(lines, horizon=horizon)
    assert lines.frame.collect().equals(before, null_equal=True)
    assert findings.to_frame().height == len(findings)
    assert all(f.count <= f.of for f in findings if f.of)
    assert findings.to_text().splitlines()[-1].startswith("Next: ")
