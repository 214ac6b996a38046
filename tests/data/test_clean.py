"""Cleaning by hand-made lines: each rule does what it says, and says what it did."""

from dataclasses import replace
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from shelfcast.data.clean import CleanSettings, clean_sales
from shelfcast.data.lines import Covariates, SalesLines, text_of
from shelfcast.data.read import read_sales
from shelfcast.errors import DataError, SettingsError
from shelfcast.names import DATE, ITEM, LOCATION, SALES
from shelfcast.panel import PERIOD
from shelfcast.periods import Frequency

MONDAY = date(2024, 1, 1)


def day(number: int) -> date:
    """The day so many days after Monday, 2024-01-01."""
    return date.fromordinal(MONDAY.toordinal() + number)


def lines(rows, *, columns=(ITEM, DATE, SALES), shape="transactions", **rest) -> SalesLines:
    """Lines from tuples; the types are inferred but for sales."""
    frame = (
        pl.DataFrame(rows, schema=list(columns), orient="row").with_columns(pl.col(SALES).cast(pl.Float64)).with_row_index("row")
    )
    return SalesLines(frame.lazy(), "hand.csv", shape=shape, **rest)


def sales_of(panel) -> list:
    """(item, date, sales) of a panel."""
    return panel.to_frame().select(ITEM, DATE, SALES).rows()


def changed(cleaned, rule) -> list:
    """(rows, units) of one rule."""
    return cleaned.changes.filter(pl.col("rule") == rule).select("rows", "units").rows()


def test_transactions_of_a_day_are_added_up_and_a_day_without_lines_is_a_day_without_sales():
    cleaned = clean_sales(lines([("a", day(0), 2), ("a", day(0), 3), ("a", day(2), 1)]))
    assert sales_of(cleaned.panel) == [("a", day(0), 5.0), ("a", day(2), 1.0)]
    assert cleaned.panel.absent == "zero"
    assert cleaned.panel.dense().sales.tolist() == [[5.0, 0.0, 1.0]]


def test_recorded_rows_that_say_the_same_twice_count_once():
    cleaned = clean_sales(lines([("a", day(0), 2), ("a", day(0), 2), ("a", day(1), 1)], shape="series"))
    assert sales_of(cleaned.panel) == [("a", day(0), 2.0), ("a", day(1), 1.0)]
    assert changed(cleaned, "repeated") == [(1, -2.0)]


@pytest.mark.parametrize(("how", "sales"), [("sum", 7.0), ("last", 5.0), ("mean", 3.5)])
def test_recorded_rows_that_differ_are_joined_as_asked(how, sales):
    cleaned = clean_sales(
        lines([("a", day(0), 2), ("a", day(0), 5), ("a", day(1), 1)], shape="series"), settings=CleanSettings(repeated=how)
    )
    assert sales_of(cleaned.panel)[0] == ("a", day(0), sales)


def test_recorded_rows_that_differ_can_be_an_error_that_names_the_first():
    with pytest.raises(DataError, match="item a, location all, 2024-01-01"):
        clean_sales(lines([("a", day(0), 2), ("a", day(0), 5)], shape="series"), settings=CleanSettings(repeated="error"))


def test_equal_lines_of_one_invoice_are_kept_or_counted_once():
    days = [0, 1, 1, 2, 2, 2]
    table = pl.DataFrame(
        {"invoice": [f"A{i}" for i in days], ITEM: "a", DATE: [day(i) for i in days], SALES: 4, "till": [1, 1, 1, 1, 1, 2]}
    )
    source = read_sales(table)
    assert sales_of(clean_sales(source).panel) == [("a", day(0), 4.0), ("a", day(1), 8.0), ("a", day(2), 12.0)]
    once = clean_sales(source, settings=CleanSettings(copies="drop"))
    assert sales_of(once.panel) == [("a", day(0), 4.0), ("a", day(1), 4.0), ("a", day(2), 8.0)]
    assert changed(once, "copies") == [(2, -8.0)] and "invoice included" in once.changes["what"][0]
    assert changed(clean_sales(source, settings=CleanSettings(copies="drop"), cutoff=day(1)), "copies") == [(1, -4.0)]


def test_a_cancelled_order_takes_its_sale_with_it():
    rows = [("a", day(0), 5, False), ("a", day(0), 80_000, False), ("a", day(1), -80_000, True), ("a", day(2), 1, False)]
    cleaned = clean_sales(lines(rows, columns=(ITEM, DATE, SALES, "cancelled")))
    assert sales_of(cleaned.panel) == [("a", day(0), 5.0), ("a", day(1), 0.0), ("a", day(2), 1.0)]
    assert changed(cleaned, "cancelled") == [(1, -80_000.0)]
    assert changed(cleaned, "returns") == []


def test_two_cancellations_do_not_take_the_same_sale():
    rows = [
        ("a", day(0), 4, False),
        ("a", day(1), 4, False),
        ("a", day(2), -4, True),
        ("a", day(3), -4, True),
        ("a", day(4), -4, True),
    ]
    cleaned = clean_sales(lines(rows, columns=(ITEM, DATE, SALES, "cancelled")))
    assert changed(cleaned, "cancelled") == [(2, -8.0)]
    assert changed(cleaned, "returns") == [(1, 4.0)]


def test_a_sale_cancelled_a_year_later_was_wanted():
    rows = [("a", day(0), 4, False), ("a", day(365), -4, True)]
    cleaned = clean_sales(lines(rows, columns=(ITEM, DATE, SALES, "cancelled")))
    assert sales_of(cleaned.panel)[0] == ("a", day(0), 4.0)


def test_cancellations_of_nothing_are_returns_though_no_other_line_is_negative():
    rows = [("a", day(0), 5, False), ("a", day(1), -2, True), ("a", day(1), 3, False)]
    cleaned = clean_sales(lines(rows, columns=(ITEM, DATE, SALES, "cancelled")))
    assert sales_of(cleaned.panel) == [("a", day(0), 5.0), ("a", day(1), 3.0)]
    assert changed(cleaned, "returns") == [(1, 2.0)]


def test_returns_are_set_apart_or_netted():
    rows = [("a", day(0), 5), ("a", day(0), -2), ("a", day(1), -3)]
    apart, net = (clean_sales(lines(rows), settings=CleanSettings(returns=how)) for how in ("apart", "net"))
    assert sales_of(apart.panel) == [("a", day(0), 5.0), ("a", day(1), 0.0)] and not apart.panel.net_of_returns
    assert sales_of(net.panel) == [("a", day(0), 3.0), ("a", day(1), -3.0)] and net.panel.net_of_returns
    assert changed(apart, "returns") == [(2, 5.0)]


def test_series_that_begin_in_the_month_left_out_are_named():
    rows = [("a", day(i), 1.0) for i in range(75)] + [("c", day(74), 2), ("b", day(73), 4), ("b", day(74), 4)]
    cleaned = clean_sales(lines(rows, freq=Frequency("M")))
    assert cleaned.panel.series[ITEM].to_list() == ["a"] and cleaned.panel.frequency.date(cleaned.panel.cutoff) == date(2024, 2, 1)
    told = cleaned.changes.filter(pl.col("rule") == "partial").rows(named=True)
    assert [(c["series"], c["rows"], c["units"]) for c in told] == [(3, 3, -25.0), (2, 2, 0.0)]
    assert "item b at location all; item c at location all" in told[1]["what"]


@pytest.mark.parametrize("shape", ["series", "transactions"])
def test_hours_of_recorded_days_are_refused(shape):
    daily = lines([("a", day(i), 1 + i % 5) for i in range(30)], shape=shape, freq=Frequency("h"))
    with pytest.raises(DataError, match=r"Hourly sales .* is daily: its dates, 2024-01-01 to 2024-01-30, .* Write --freq D"):
        clean_sales(daily)


def test_days_of_recorded_weeks_are_refused_and_months_of_recorded_days_are_not():
    weekly = lines([("a", day(7 * i), 1) for i in range(30)], shape="series", freq=Frequency("D"))
    with pytest.raises(DataError, match=r"Daily sales .* is weekly: .* Write --freq W-MON, or a longer period"):
        clean_sales(weekly)
    daily = lines([("a", day(i), 1) for i in range(60)], shape="series", freq=Frequency("M"))
    assert sales_of(clean_sales(daily).panel) == [("a", date(2024, 1, 1), 31.0), ("a", date(2024, 2, 1), 29.0)]


def test_hours_are_given_where_lines_have_times():
    rows = [("a", datetime(2024, 1, 1 + i // 10, 9 + i % 10, 30), 1) for i in range(60)]
    for shape in ("transactions", "series"):
        assert clean_sales(lines(rows, shape=shape, freq=Frequency("h"))).panel.frequency == Frequency("h")


def test_a_recorded_period_below_zero_becomes_zero():
    cleaned = clean_sales(lines([("a", day(0), 5), ("a", day(1), -2)], shape="series"))
    assert sales_of(cleaned.panel) == [("a", day(0), 5.0), ("a", day(1), 0.0)]
    assert changed(cleaned, "returns") == [(1, 2.0)]


def test_names_that_differ_by_blanks_or_case_are_one_item_under_the_usual_spelling():
    rows = [("Milk", day(0), 1), ("Milk", day(1), 1), (" milk", day(0), 2), ("MILK ", day(2), 3)]
    cleaned = clean_sales(lines(rows))
    assert sales_of(cleaned.panel) == [("Milk", day(0), 3.0), ("Milk", day(1), 1.0), ("Milk", day(2), 3.0)]
    apart = clean_sales(lines(rows), settings=CleanSettings(names=False))
    assert apart.panel.series.height == 3


def test_lines_that_cannot_be_used_are_listed_with_their_reason():
    frame = pl.DataFrame(
        {
            DATE: [day(0), None, None, date(9999, 12, 31), day(1)],
            text_of(DATE): ["1", "32.13.", None, "x", "2"],
            SALES: [1.0, 2.0, 3.0, 4.0, None],
            text_of(SALES): ["1", "2", "3", "4", "many"],
        }
    ).with_row_index("row")
    cleaned = clean_sales(SalesLines(frame.lazy(), "hand.csv", shape="transactions"))
    assert cleaned.rejected.select("row", "reason").rows() == [
        (1, "unparsable dates"),
        (2, "missing dates"),
        (3, "absurd dates"),
        (4, "unparsable sales"),
    ]
    assert cleaned.rejected_count == 4
    assert cleaned.panel.rows[SALES].to_list() == [1.0]


def test_unreadable_lines_can_be_an_error_that_says_where():
    frame = pl.DataFrame({DATE: [day(0), None], SALES: [1.0, 2.0]}).with_row_index("row")
    with pytest.raises(DataError, match="data row 2 has missing dates"):
        clean_sales(SalesLines(frame.lazy(), "hand.csv"), settings=CleanSettings(unreadable="error"))


def test_sales_after_today_are_not_believed():
    settings = CleanSettings(today=day(1))
    cleaned = clean_sales(lines([("a", day(0), 1), ("a", day(1), 1), ("a", day(5), 9)]), settings=settings)
    assert cleaned.panel.cutoff == Frequency("D").number(day(1))
    assert changed(cleaned, "future") == [(1, 0.0)]


def test_weeks_of_transactions_begin_on_monday_and_partial_ones_at_the_ends_are_left_out():
    rows = [("a", day(i), 1) for i in range(2, 33) if i % 7 < 5]  # Wednesday to the Friday of the fifth week, closed at weekends
    cleaned = clean_sales(lines(rows, freq=Frequency.parse("W")))
    assert sales_of(cleaned.panel) == [("a", day(7 * k), 5.0) for k in (1, 2, 3, 4)]
    assert changed(cleaned, "partial") == [(1, -3.0)]
    cut_short = clean_sales(lines(rows[:-1], freq=Frequency.parse("W")))
    assert sales_of(cut_short.panel) == [("a", day(7 * k), 5.0) for k in (1, 2, 3)]


def test_a_week_with_too_few_of_its_recorded_days_is_not_known():
    rows = [("a", day(i), 1) for i in range(35) if i not in (14, 15, 16)]
    cleaned = clean_sales(lines(rows, shape="series", freq=Frequency.parse("W")))
    assert [s for _, _, s in sales_of(cleaned.panel)] == [7.0, 7.0, None, 7.0, 7.0]
    assert changed(cleaned, "incomplete") == [(1, -4.0)]


def test_recorded_weeks_keep_their_weekday_also_when_weeks_are_asked_for():
    rows = [("a", day(4 + 7 * i), i) for i in range(5)]  # Fridays
    for freq in (None, Frequency.parse("W")):
        panel = clean_sales(lines(rows, shape="series", freq=freq)).panel
        assert str(panel.frequency) == "W-FRI" and panel.to_frame()[DATE][0] == day(4)


def test_a_cutoff_inside_a_week_of_transactions_ends_history_with_the_week_before():
    rows = [("a", day(i), 1) for i in range(35)]
    panel = clean_sales(lines(rows, freq=Frequency.parse("W")), cutoff=day(24)).panel
    assert panel.frequency.date(panel.cutoff) == day(14)
    assert clean_sales(lines(rows, freq=Frequency.parse("W")), cutoff=day(27)).panel.cutoff == panel.cutoff + 1


def test_what_comes_after_the_cutoff_changes_nothing_but_known_covariates():
    rows = [("a", day(i), i % 5, i % 2, float(i)) for i in range(40)]
    other = [(i, d, s if k < 30 else 99 * s, p, x if k < 30 else -x) for k, (i, d, s, p, x) in enumerate(rows)]
    kinds = {"promo": "known", "visitors": "past"}
    made = [
        clean_sales(lines(r, columns=(ITEM, DATE, SALES, "promo", "visitors"), shape="series", covariates=kinds), cutoff=day(29))
        for r in (rows, other, [(i.upper() if k >= 30 else i, *rest) for k, (i, *rest) in enumerate(rows)])
    ]
    assert made[0].panel.fingerprint() == made[1].panel.fingerprint()
    assert made[0].panel.horizon_given() == 10
    assert made[2].panel.series.equals(made[0].panel.series)


def test_prices_are_weighted_by_units_and_a_price_of_zero_is_no_price():
    rows = [("a", day(0), 1, 10.0), ("a", day(0), 3, 2.0), ("a", day(1), 1, 0.0)]
    panel = clean_sales(lines(rows, columns=(ITEM, DATE, SALES, "price"))).panel
    assert panel.rows["price"].to_list() == [4.0, None]
    assert dict(panel.covariates) == {"price": "past"}


def test_a_covariate_whose_zeros_never_sell_says_when_a_place_is_closed():
    rows = [("a", day(i), 0 if i % 7 == 6 else 5, int(i % 7 != 6), i % 2) for i in range(210)]
    columns = (ITEM, DATE, SALES, "Open", "promo")
    cleaned = clean_sales(lines(rows, columns=columns, shape="series", covariates={"Open": "known", "promo": "known"}))
    assert cleaned.panel.closed_when == "Open"
    assert changed(cleaned, "closed") == [(30, 0.0)]
    renamed = lines(
        rows, columns=(ITEM, DATE, SALES, "flag", "promo"), shape="series", covariates={"flag": "known", "promo": "known"}
    )
    assert clean_sales(renamed).panel.closed_when == "flag"


def test_a_covariate_file_is_matched_by_value_and_its_weeks_are_spread_over_days():
    prices = pl.DataFrame({ITEM: ["1", "1", "2"], DATE: [day(0), day(7), day(0)], "offer": [1.0, 2.0, 3.0], "other": [0, 0, 0]})
    rows = [(1, day(i), 1) for i in range(14)]
    source = lines(rows, shape="series", covariates={"offer": "known"}, tables=(Covariates(prices.lazy(), "prices.csv"),))
    panel = clean_sales(source).panel
    assert panel.dense().known["offer"].tolist() == [[1.0] * 7 + [2.0] * 7]
    assert panel.tables[0].values == ["offer"]


def test_scattered_holidays_stay_days_although_they_share_a_weekday():
    holidays = pl.DataFrame({DATE: [day(0), day(21), day(70)], "holiday": [1, 1, 1]})
    source = lines(
        [(1, day(i), 1) for i in range(80)], covariates={"holiday": "known"}, tables=(Covariates(holidays.lazy(), "h.csv"),)
    )
    assert clean_sales(source).panel.tables[0].frame.height == 3


def test_attributes_of_places_become_static_covariates_and_addresses_do_not():
    places = pl.DataFrame(
        {
            LOCATION: [str(i) for i in range(30)],
            "size": range(30),
            "kind": ["city", "town"] * 15,
            "address": [f"{i} Main Street" for i in range(30)],
            "latitude": 1.0,
            "longitude": 2.0,
        }
    )
    source = lines([(i, day(0), 1) for i in range(30)], columns=(LOCATION, DATE, SALES), places=places)
    panel = clean_sales(source).panel
    assert dict(panel.covariates) == {"size": "static", "kind": "static"}
    assert panel.places.schema[LOCATION] == pl.Int64 and "address" in panel.places.columns


def test_keys_keep_their_type_and_series_are_sorted():
    panel = clean_sales(lines([(10, day(0), 1), (9, day(0), 1)])).panel
    assert panel.series[ITEM].to_list() == [9, 10]
    assert panel.series[LOCATION].unique().to_list() == ["all"]


def test_a_time_zone_leaves_the_clock_on_the_wall():
    frame = pl.DataFrame({DATE: [datetime(2024, 1, 1, 23, 30), datetime(2024, 1, 2, 0, 30)], SALES: [1.0, 2.0]})
    frame = frame.with_columns(pl.col(DATE).dt.replace_time_zone("America/New_York"))
    assert [s for *_, s in sales_of(clean_sales(SalesLines(frame.lazy(), "f", shape="transactions")).panel)] == [1.0, 2.0]


def test_outliers_stay_unless_they_are_to_be_capped():
    rows = [("a", day(i), 10 + i % 3) for i in range(30)] + [("a", day(30), 5000)]
    kept, capped = (clean_sales(lines(rows), settings=CleanSettings(outliers=how)) for how in ("keep", "cap"))
    assert kept.panel.rows[SALES].max() == 5000
    assert capped.panel.rows[SALES].max() == pytest.approx(90, rel=0.1)
    assert changed(capped, "outliers")[0][0] == 1
    again = clean_sales(capped.panel, settings=CleanSettings(outliers="cap"))
    assert again.panel.fingerprint() == capped.panel.fingerprint()


def test_nothing_usable_is_an_error_that_says_what_is_wrong_most_often():
    frame = pl.DataFrame({DATE: [None, None], text_of(DATE): ["x", "y"], SALES: [1.0, 2.0]}, schema_overrides={DATE: pl.Date})
    with pytest.raises(DataError, match="2 lines with unparsable dates"):
        clean_sales(SalesLines(frame.lazy(), "hand.csv"))
    with pytest.raises(DataError, match=r"No row of hand\.csv lies within history"):
        clean_sales(SalesLines(frame.head(0).lazy(), "hand.csv"))


def test_a_rule_that_does_not_exist_is_refused():
    with pytest.raises(SettingsError, match="Known: sum, last, mean, error"):
        CleanSettings(repeated="first")


def test_rows_after_the_last_sale_give_the_future_of_known_covariates():
    rows = [("a", day(i), i if i < 10 else None, i % 2) for i in range(14)]
    panel = clean_sales(lines(rows, columns=(ITEM, DATE, SALES, "promo"), shape="series", covariates={"promo": "known"})).panel
    assert panel.frequency.date(panel.cutoff) == day(9) and panel.horizon_given() == 4
    assert panel.dense(horizon=4).known["promo"][0, -4:].tolist() == [0, 1, 0, 1]


def test_series_that_begin_after_the_cutoff_are_no_series_yet():
    rows = [("a", day(0), 1), ("a", day(9), 1), ("b", day(9), 1)]
    panel = clean_sales(lines(rows), cutoff=day(5)).panel
    assert panel.series[ITEM].to_list() == ["a"]
    assert panel.rows[PERIOD].max() <= panel.cutoff


def test_the_panel_of_lines_that_are_given_twice_is_the_same(tmp_path):
    source = lines([("a", day(i), i) for i in range(20)], shape="series")
    assert clean_sales(source).panel.fingerprint() == clean_sales(replace(source)).panel.fingerprint()


@pytest.mark.parametrize("price", [None, 2.0, 0.0, -1.0, float("nan")])
@pytest.mark.parametrize("units", [1.0, 0.5])
def test_the_quick_ways_of_adding_up_give_what_the_slow_one_gives(price, units):
    random = np.random.default_rng(3)
    rows = [(int(i), day(int(d)), float(n)) for i, d, n in zip(*(random.integers(1, 9, 400) for _ in range(3)), strict=True)]
    rows[7] = (*rows[7][:2], units)
    prices = {} if price == 2.0 else {"price": [price if k % 5 == 0 else 3.0 + k % 2 for k in range(400)]}
    source = lines(rows)
    quick = replace(source, frame=source.frame.with_columns(**{n: pl.Series(v) for n, v in prices.items()}))
    # A covariate in the sales file asks for the general way.
    slow = replace(quick, frame=quick.frame.with_columns(one=pl.lit(1.0)), covariates={"one": "past"})
    one, other = (clean_sales(s).panel.rows for s in (quick, slow))
    assert_frame_equal(one, other.drop("one"))


@pytest.mark.parametrize(
    "items",
    [
        [4006381333931 + 10**9 * i for i in range(30)],
        [2**64 - 1 - i for i in range(30)],
        [i - 5 for i in range(30)],
        [True, False, None] * 10,
    ],
    ids=["barcodes", "unsigned", "negative", "truth values"],
)
def test_keys_of_any_type_are_kept_as_they_are(items):
    series = pl.Series(ITEM, items, dtype=pl.UInt64 if items[0] == 2**64 - 1 else None)
    frame = pl.DataFrame([series, pl.Series(DATE, [day(i) for i in range(30)]), pl.Series(SALES, [1.0] * 30)])
    panel = clean_sales(SalesLines(frame.lazy(), "hand.csv")).panel
    assert panel.series[ITEM].to_list() == sorted({i for i in items if i is not None})
    assert panel.series.schema[ITEM] == series.dtype


def test_a_covariate_file_without_a_readable_date_is_an_error_that_names_it():
    source = lines(
        [(1, day(0), 1)], covariates={"t": "known"}, tables=(Covariates(pl.LazyFrame({DATE: [None], "t": [1.0]}), "t.csv"),)
    )
    with pytest.raises(DataError, match=r"dates of the covariate file t\.csv cannot be read"):
        clean_sales(source)


def test_the_future_has_no_say_in_how_an_item_is_spelt():
    rows = [("milk" if i < 10 else "MILK", day(i), 1.0, i % 2) for i in range(40)]
    columns = (ITEM, DATE, SALES, "promo")
    panel = clean_sales(lines(rows, columns=columns, shape="series", covariates={"promo": "known"}), cutoff=day(9)).panel
    assert panel.series[ITEM].to_list() == ["milk"] and panel.horizon_given() == 30


def test_lines_whose_price_says_nothing_are_told():
    frame = pl.DataFrame({DATE: [date(2024, 1, d) for d in (1, 2, 3)], SALES: [1.0, 2.0, 3.0], "price": [5.0, 0.0, -1.0]})
    cleaned = clean_sales(SalesLines(frame.lazy(), "hand.csv"))
    assert cleaned.panel.rows["price"].to_list() == [5.0, None, None]
    told = cleaned.changes.filter(pl.col("rule") == "prices")
    assert told["rows"].sum() == 2
