"""SalesPanel: the dense view against a slow twin, slicing, saving, converting, and what it refuses."""

import importlib.util
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.errors import DataError, SettingsError, SourceError, UnknownNameError
from shelfcast.panel import CovariateTable, SalesPanel
from shelfcast.periods import Frequency

_TWIN = importlib.util.spec_from_file_location("slow_panel", Path(__file__).parent / "oracle" / "slow_panel.py")
slow_panel = importlib.util.module_from_spec(_TWIN)
_TWIN.loader.exec_module(slow_panel)

MONDAY = date(2024, 1, 1)


def small(**rest) -> SalesPanel:
    """Two items in one place, four days: tea begins on the second day and has a gap on the third."""
    frame = pl.DataFrame({"item": ["bread"] * 4 + ["tea"] * 2, "location": "Oslo",
                          "date": [MONDAY + timedelta(days=d) for d in (0, 1, 2, 3, 1, 3)],
                          "sales": [5.0, 6.0, None, 8.0, 1.0, 2.0], "promo": [0, 1, 0, 1, 0, None]})
    return SalesPanel.from_frame(frame, freq="D", **rest)


@st.composite
def panels(draw) -> SalesPanel:
    """Panels of up to 4 series and 12 periods, with gaps, nulls, all kinds of covariates, and a future."""
    keys = draw(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy")), min_size=1, max_size=4, unique=True))
    cutoff, horizon = 100, draw(st.integers(0, 3))
    value = st.one_of(st.none(), st.integers(-3, 50).map(float))
    rows = []
    for item, place in keys:
        periods = draw(st.lists(st.integers(cutoff - 8, cutoff + horizon), min_size=1, max_size=12, unique=True))
        rows += [{"item": item, "location": place, "period": t, "sales": draw(value), "promo": draw(value), "visits": draw(value)}
                 for t in {min(cutoff, periods[0]), *periods}]
    schema = {"item": pl.String, "location": pl.String, "period": pl.Int32, "sales": pl.Float64, "promo": pl.Float64,
              "visits": pl.Float64}
    table_keys = draw(st.sampled_from([["item", "period"], ["location"], ["period"], ["item", "location", "period"]]))
    cell = st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(90, 103), value)
    table = pl.DataFrame(draw(st.lists(cell, min_size=1, max_size=10)), orient="row",
                         schema={"item": pl.String, "location": pl.String, "period": pl.Int32, "price": pl.Float64})
    table = table.select(*table_keys, "price").unique(subset=table_keys, keep="first", maintain_order=True)
    return SalesPanel.from_periods(
        pl.DataFrame(rows, schema=schema), Frequency("D"), cutoff=cutoff, tables=(CovariateTable(table),),
        covariates={"promo": "known", "visits": "past", "price": "known"}, absent=draw(st.sampled_from(["zero", "missing"])))


# -- the dense view ---------------------------------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(panel=panels(), context=st.one_of(st.none(), st.integers(1, 12)), horizon=st.integers(0, 3))
def test_the_dense_view_says_what_its_slow_twin_says(panel, context, horizon):
    dense = panel.dense(context=context, horizon=horizon)
    sales, covariates = slow_panel.slow_dense(panel, context=context, horizon=horizon)
    np.testing.assert_array_equal(dense.sales, np.array(sales))
    for name, values in covariates.items():
        found = dense.known[name] if name in dense.known else dense.past[name]
        np.testing.assert_array_equal(found, np.array(values))


@settings(max_examples=60, deadline=None)
@given(panel=panels(), data=st.data())
def test_a_slice_shows_what_the_whole_shows_of_it(panel, data):
    chosen = sorted(data.draw(st.sets(st.integers(0, len(panel) - 1), min_size=1)))
    part = panel.select(chosen)
    assert part.series.equals(panel.series[chosen])
    whole, sliced = (p.dense(context=10, horizon=2) for p in (panel, part))
    np.testing.assert_array_equal(whole.sales[chosen], sliced.sales)
    np.testing.assert_array_equal(whole.known["price"][chosen], sliced.known["price"])


@settings(max_examples=40, deadline=None)
@given(panel=panels(), size=st.integers(1, 5))
def test_chunks_are_the_panel_in_order(panel, size):
    parts = list(panel.chunks(size))
    assert pl.concat([p.series for p in parts]).equals(panel.series)
    assert sum(p.rows.height for p in parts) == panel.rows.height
    np.testing.assert_array_equal(np.concatenate([p.dense(context=9).sales for p in parts]), panel.dense(context=9).sales)


def test_a_period_without_a_row_is_a_gap_or_a_zero_as_the_panel_says():
    np.testing.assert_array_equal(small().dense().sales, [[5, 6, np.nan, 8], [np.nan, 1, np.nan, 2]])
    np.testing.assert_array_equal(small(absent="zero").dense().sales, [[5, 6, np.nan, 8], [np.nan, 1, 0, 2]])


def test_observed_says_where_sales_are_known_and_periods_number_the_columns():
    dense = small(known=["promo"]).dense(horizon=2)
    np.testing.assert_array_equal(dense.observed, [[1, 1, 0, 1], [0, 1, 0, 1]])
    assert list(dense.periods) == list(range(dense.first, dense.first + 6))


def test_texts_are_codes_into_the_sorted_categories():
    frame = small().to_frame().with_columns(pl.Series("holiday", ["none", "Easter", None, "none", "none", "Easter"]))
    panel = SalesPanel.from_frame(frame, freq="D", known=["holiday"])
    assert panel.categories == {"holiday": ["Easter", "none"]}
    np.testing.assert_array_equal(panel.dense().known["holiday"][0], [1, 0, np.nan, 1])


def test_static_covariates_come_from_items_and_places():
    panel = replace(small(), items=pl.DataFrame({"item": ["tea", "bread"], "weight": [0.1, None]}),
                    places=pl.DataFrame({"location": ["Oslo"], "region": ["east"]}), covariates={})
    panel = replace(panel, covariates={"weight": "static", "region": "static"})
    dense = panel.dense()
    np.testing.assert_array_equal(dense.static["weight"], [np.nan, 0.1])
    np.testing.assert_array_equal(dense.static["region"], [0, 0])


def test_a_covariate_that_nobody_has_is_an_error_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'promo'"):
        small(known=["promo"]).dense(covariates=["prmo"])


@pytest.mark.parametrize(("context", "horizon"), [(0, 0), (-3, 0), (None, -1)])
def test_a_dense_view_without_history_or_with_a_future_that_is_past_is_refused(context, horizon):
    with pytest.raises(SettingsError, match="at least 1 period"):
        small().dense(context=context, horizon=horizon)


# -- making -----------------------------------------------------------------------------------------------------------


def test_series_are_sorted_by_item_and_location_whatever_the_order_of_the_rows():
    frame = pl.DataFrame({"item": [3, 1, 2], "location": ["b", "a", "a"], "date": [MONDAY] * 3, "sales": [1.0, 2.0, 3.0]})
    panel = SalesPanel.from_frame(frame)
    assert panel.series["item"].to_list() == [1, 2, 3] and panel.series.schema["item"] == pl.Int64
    np.testing.assert_array_equal(panel.dense().sales, [[2], [3], [1]])


def test_a_frame_without_items_or_locations_holds_the_one_series_all():
    panel = SalesPanel.from_frame(pl.DataFrame({"date": [MONDAY], "sales": [4]}))
    assert panel.series.row(0)[:2] == ("all", "all")


def test_a_pandas_frame_is_welcome():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"date": pandas.to_datetime(["2024-01-01", "2024-01-02"]), "sales": [4.0, np.nan]})
    panel = SalesPanel.from_frame(frame)
    np.testing.assert_array_equal(panel.dense().sales, [[4.0]])  # the last date that has sales is the cutoff


def test_sales_after_the_cutoff_are_dropped_and_known_covariates_stay():
    panel = small(known=["promo"], cutoff=MONDAY + timedelta(days=1))
    assert panel.rows.filter(pl.col("period") > panel.cutoff)["sales"].null_count() == 3
    assert panel.horizon_given() == 2
    np.testing.assert_array_equal(panel.dense(horizon=2).known["promo"], [[0, 1, 0, 1], [np.nan, 0, np.nan, np.nan]])


def test_without_known_covariates_nothing_is_given_ahead():
    panel = small(past=["promo"], cutoff=MONDAY + timedelta(days=1))
    assert panel.rows["period"].max() == panel.cutoff and panel.horizon_given() == 0


def test_a_past_table_that_reaches_further_does_not_count_as_a_given_future():
    table = pl.DataFrame({"period": [small().cutoff + 5], "visits": [1.0]})
    assert replace(small(), tables=(CovariateTable(table),), covariates={"visits": "past"}).horizon_given() == 0


@pytest.mark.parametrize(("change", "error", "words"), [
    (pl.lit(float("inf")).alias("sales"), DataError, "infinite sales; the first: item bread, location Oslo, 2024-01-01"),
    (pl.lit("five").alias("sales"), DataError, "sales holds String, not numbers"),
    (pl.lit("2024-01-01").alias("date"), DataError, "date holds String, not dates"),
    (pl.lit(MONDAY).alias("date"), DataError, "4 rows repeat an item, location and date; the first: item bread, location Oslo"),
    (pl.lit(None, dtype=pl.Float64).alias("sales"), DataError, "No row has sales"),
    (pl.lit(None, dtype=pl.String).alias("item"), DataError, "No row has sales"),
    (pl.col("sales").alias("sold"), None, ""),
])
def test_what_is_wrong_with_a_frame_is_said_with_the_first_place(change, error, words):
    frame = small().to_frame().with_columns(change)
    if error is None:
        assert len(SalesPanel.from_frame(frame)) == 2
        return
    with pytest.raises(error, match=words):
        SalesPanel.from_frame(frame, freq="D")


def test_a_missing_column_is_named_with_those_there_are():
    with pytest.raises(UnknownNameError, match=r"No column is called 'sales'. Did you mean 'sale'"):
        SalesPanel.from_frame(pl.DataFrame({"date": [MONDAY], "sale": [1.0]}))


def test_a_covariate_table_without_keys_or_with_repeated_keys_is_refused():
    with pytest.raises(DataError, match="none of the columns item, location, date"):
        CovariateTable(pl.DataFrame({"price": [1.0]}))
    with pytest.raises(DataError, match="2 rows that repeat item"):
        CovariateTable(pl.DataFrame({"item": ["a", "a", "b"], "price": [1.0, 2.0, 3.0]}))


def test_closing_hours_must_be_a_known_covariate():
    with pytest.raises(SettingsError, match="'promo' is to say when places are closed"):
        small(past=["promo"], closed_when="promo")


@pytest.mark.parametrize("which", [[1, 0], [0, 0], [-1], [2]])
def test_series_are_selected_by_rising_positions_that_exist(which):
    with pytest.raises(SettingsError, match="from 0 to 1"):
        small().select(which)
    with pytest.raises(DataError, match="No series is left"):
        small().select([])


def test_a_panel_cannot_be_changed():
    with pytest.raises((AttributeError, TypeError)):
        small().cutoff = 3
    with pytest.raises(TypeError):
        small(known=["promo"]).covariates["promo"] = "past"


# -- saving, converting -----------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(panel=panels())
def test_a_saved_panel_is_the_same_when_loaded(panel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("panels") / "panel"
    panel.save(folder)
    loaded = SalesPanel.load(folder)
    assert loaded.fingerprint() == panel.fingerprint()
    assert loaded.rows.equals(panel.rows) and loaded.covariates == panel.covariates and loaded.absent == panel.absent


def test_items_places_and_settings_survive_saving(tmp_path):
    items, places = pl.DataFrame({"item": ["tea"], "weight": [1.5]}), pl.DataFrame({"location": ["Oslo"], "latitude": [59.9]})
    panel = small(known=["promo"], closed_when="promo", net_of_returns=True, holds="demand", items=items, places=places)
    panel.save(tmp_path / "p")
    loaded = SalesPanel.load(tmp_path / "p")
    assert loaded.fingerprint() == panel.fingerprint() and loaded.items.equals(panel.items) and loaded.closed_when == "promo"


@settings(max_examples=40, deadline=None)
@given(panel=panels(), data=st.data())
def test_a_fingerprint_tells_panels_apart(panel, data):
    at = data.draw(st.integers(0, panel.rows.height - 1))
    other = panel.rows.with_columns(pl.when(pl.int_range(pl.len()) == at).then(pl.col("sales").fill_null(0) + 1)
                                    .otherwise(pl.col("sales")).alias("sales"))
    assert replace(panel, rows=other).fingerprint() != panel.fingerprint()
    assert replace(panel, rows=panel.rows.clone()).fingerprint() == panel.fingerprint()
    assert replace(panel, net_of_returns=not panel.net_of_returns).fingerprint() != panel.fingerprint()


@pytest.mark.parametrize("damage", ["panel.json", "rows.parquet", "covariates-0.parquet", None])
def test_a_damaged_folder_is_no_panel(tmp_path, damage):
    table = CovariateTable(pl.DataFrame({"item": ["tea"], "price": [2.0]}))
    replace(small(), tables=(table,)).save(tmp_path / "p")
    if damage is not None:
        (tmp_path / "p" / damage).write_bytes(b"{\"format\": 1, \"broken")
    with pytest.raises(SourceError, match="is not a saved panel"):
        SalesPanel.load(tmp_path / ("p" if damage else "nowhere"))


def test_a_panel_of_another_format_is_refused(tmp_path):
    small().save(tmp_path / "p")
    text = (tmp_path / "p" / "panel.json").read_text().replace('"format": 1', '"format": 99')
    (tmp_path / "p" / "panel.json").write_text(text)
    with pytest.raises(SourceError, match="another version"):
        SalesPanel.load(tmp_path / "p")


def test_the_long_table_makes_the_same_panel_again():
    panel = small(known=["promo"])
    assert SalesPanel.from_frame(panel.to_frame(), freq="D", known=["promo"]).fingerprint() == panel.fingerprint()


def test_the_shapes_of_other_libraries():
    pytest.importorskip("pandas")
    panel = small(known=["promo"], cutoff=MONDAY + timedelta(days=2))
    nixtla = panel.to_nixtla()
    assert nixtla.columns == ["unique_id", "ds", "y", "promo"] and nixtla["unique_id"][0] == "bread/Oslo"
    assert nixtla["ds"].max() == MONDAY + timedelta(days=2)
    assert list(panel.to_autogluon().columns) == ["item_id", "timestamp", "target", "promo"]
    assert list(panel.to_pandas().columns) == ["item", "location", "date", "sales", "promo"]


def test_a_panel_says_what_it_is_in_one_line():
    assert repr(small(known=["promo"])) == (
        "SalesPanel: 2 series (2 items x 1 location), daily, 2024-01-01 to 2024-01-04, 6 rows; covariates: promo (known)")


def test_given_says_which_future_rows_exist_be_their_value_null_or_not():
    panel = small(known=["promo"], cutoff=MONDAY + timedelta(days=1))
    np.testing.assert_array_equal(panel.given("promo", 2), [[True, True], [False, True]])
