"""Dates, numbers and names that are wrong, hostile, or absurd."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from broken.builders import FIRST, forecast, sales_csv, sound, text, with_column
from broken.corpus import Case, Corpus

corpus = Corpus()


def scored(sales: Path) -> list[str]:
    """Arguments of a forecast with its backtest."""
    return [word for word in forecast(sales) if word != "--no-backtest"]


# -- dates ------------------------------------------------------------------------------------------------------------


@corpus.add(1, r"No value of the column 'date' is a date; the first: 'next Tuesday'")
def no_date_can_be_read(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("date", lambda i, row: "next Tuesday")))


@corpus.add(1, r"216 of 240 rows cannot be used: 216 rows have a date that cannot be read \(first: line 3, .*soon\)")
def most_dates_cannot_be_read(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("date", lambda i, row: "soon" if i % 10 else str(row["date"]))))


@corpus.add(0, r"2 of 240 rows .*: 2 rows have a date that cannot be read \(first: line 9, .*soon\)", finding="unparsable_dates")
def a_few_dates_cannot_be_read(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("date", lambda i, row: "soon" if i in (7, 99) else str(row["date"]))))


@corpus.add(1, r"Dates such as .*/2024 in the column 'date' can be read day first and month first alike\..* date=date:dmy")
def dates_that_may_be_day_first_or_month_first(folder: Path) -> list[str]:
    days = ("01/02/2024", "03/04/2024", "05/06/2024", "07/08/2024", "02/09/2024")
    table = pl.DataFrame([{"item": f"i{k}", "date": d, "sales": k} for k in range(4) for d in days])
    return forecast(sales_csv(folder, table))


@corpus.add(2, r"No style of a column is called 'ymx'\. Did you mean 'ymd'\?")
def an_order_of_dates_that_does_not_exist(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--columns", "date=date:ymx")


@corpus.add(1, r"No value of the column 'date' is a date; the first: '2024-02-3\d'")
def only_days_that_do_not_exist(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("date", lambda i, row: f"2024-02-{30 + i % 2}")))


@corpus.add(0, r"3 of 240 rows cannot be used: 3 rows are dated before 1970 or after 2100", finding="absurd_dates")
def the_year_zero_and_the_year_9999_among_sound_dates(folder: Path) -> list[str]:
    odd = {3: "0001-01-01", 77: "9999-12-31", 100: "1900-01-01"}
    return forecast(sales_csv(folder, with_column("date", lambda i, row: odd.get(i, str(row["date"])))))


@corpus.add(0, r"2 of 240 rows cannot be used: 2 rows are dated before 1970 or after 2100", finding="absurd_dates")
def dates_beyond_every_calendar(folder: Path) -> list[str]:
    days = sound()["date"].to_physical().to_list()
    days[7], days[99] = 2**31 - 1, -(2**31)
    sound().with_columns(date=pl.Series(days, dtype=pl.Int32).cast(pl.Date)).write_parquet(folder / "beyond.parquet")
    return forecast(folder / "beyond.parquet")


@corpus.add(0, r"1 of 240 rows cannot be used: 1 rows are dated before 1970 or after 2100", finding="absurd_dates")
def a_moment_called_infinity_by_a_database(folder: Path) -> list[str]:
    moments = sound()["date"].cast(pl.Datetime("us")).to_physical().to_list()
    moments[7] = 2**63 - 1
    sound().with_columns(date=pl.Series(moments, dtype=pl.Int64).cast(pl.Datetime("us"))).write_parquet(folder / "endless.parquet")
    return forecast(folder / "endless.parquet")


@corpus.add(1, r"None of the 240 rows of late\.parquet has a usable .* Most often: 240 lines with absurd dates")
def every_date_in_the_year_9999(folder: Path) -> list[str]:
    sound().with_columns(date=pl.lit(date(9999, 12, 31))).write_parquet(folder / "late.parquet")
    return forecast(folder / "late.parquet")


@corpus.add(1, r"No value of the column 'date' is a date; the first: '1e300'")
def dates_as_1e300(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("date", lambda i, row: "1e300")))


@corpus.add(1, r"The column 'date' holds numbers beyond any date")
def dates_as_fractions(folder: Path) -> list[str]:
    sound().with_columns(date=pl.lit(1e300)).write_parquet(folder / "fractions.parquet")
    return forecast(folder / "fractions.parquet")


@corpus.add(1, r"The column 'date' of flags\.parquet holds values of type Boolean, which cannot be the date")
def dates_as_true_and_false(folder: Path) -> list[str]:
    sound().with_columns(date=pl.col("sales") > 5).write_parquet(folder / "flags.parquet")
    return forecast(folder / "flags.parquet")


@corpus.add(0, r"The times in 'date' carry a zone; the wall time as written was kept")
def dates_of_several_time_zones(folder: Path) -> list[str]:
    zones = ("Z", "+02:00", "-08:00", "")
    return forecast(sales_csv(folder, with_column("date", lambda i, row: f"{row['date']}T00:00:00{zones[i % 4]}")))


@corpus.add(1, r"240 of 240 rows cannot be used: 240 rows have sales dated after today")
def every_sale_in_the_future(folder: Path) -> list[str]:
    later = date.today() + timedelta(days=400)
    return forecast(sales_csv(folder, sound().with_columns(date=pl.col("date") + pl.duration(days=(later - FIRST).days))))


@corpus.add(0, r"2 of 240 rows cannot be used", finding="missing_dates")
def a_few_dates_are_empty(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("date", lambda i, row: None if i in (5, 6) else row["date"])))


@corpus.add(1, r"None of the 240 rows of sales\.csv has a usable .* Most often: 240 lines with missing dates")
def all_dates_are_empty(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().with_columns(date=pl.lit(None))))


@corpus.add(0, r"4 series")
def hours_over_a_whole_century(folder: Path) -> list[str]:
    table = sound().with_columns(pl.col("date").cast(pl.Datetime) + pl.duration(hours=pl.col("sales")))
    early = table.head(1).with_columns(date=pl.lit(datetime(1975, 1, 1, 3)))
    pl.concat([early, table], how="vertical_relaxed").write_parquet(folder / "hours.parquet")
    return forecast(folder / "hours.parquet", "--freq", "h")


# -- numbers ----------------------------------------------------------------------------------------------------------


@corpus.add(1, r"No value of the column 'sales' is a number; the first: '(plenty|few)'")
def sales_in_words(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("sales", lambda i, row: ("plenty", "few")[i % 2])))


@corpus.add(0, r"2 of 240 rows cannot be used: 2 rows have sales .* \(first: line 11, .*sold out", finding="unparsable_sales")
def a_few_sales_in_words(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("sales", lambda i, row: "sold out" if i in (9, 10) else str(row["sales"]))))


@corpus.add(0, r"2 of 240 rows cannot be used: 2 rows have sales that are infinite", finding="infinite_sales")
def infinite_sales(folder: Path) -> list[str]:
    odd = {4: float("inf"), 50: float("-inf"), 90: float("nan")}
    with_column("sales", lambda i, row: odd.get(i, float(row["sales"]))).write_parquet(folder / "endless.parquet")
    return forecast(folder / "endless.parquet")


@corpus.add(0, r"3 of 240 rows cannot be used: 3 rows have sales beyond 1,000,000,000,000 units", finding="huge_sales")
def sales_of_1e308(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("sales", lambda i, row: 1e308 if i in (4, 5, 6) else float(row["sales"]))))


@corpus.add(1, r"240 of 240 rows cannot be used: 240 rows have sales beyond 1,000,000,000,000 units .*1e\+308")
def every_sale_is_1e308(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("sales", lambda i, row: 1e308)))


@corpus.add(1, r"Not one unit was sold up to 2024-02-29.* Found: 240 rows have no sales \(first: line 2")
def every_sale_is_empty(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().with_columns(sales=pl.lit(None))))


@corpus.add(1, r"Not one unit was sold up to 2024-02-29.* Found: 240 rows have no sales \(first: row 1")
def every_sale_is_not_a_number(folder: Path) -> list[str]:
    sound().with_columns(sales=pl.lit(float("nan"))).write_parquet(folder / "nan.parquet")
    return forecast(folder / "nan.parquet")


@corpus.add(1, r"Not one unit was sold up to 2024-02-29, .* Is this the column of the sales\? --columns sales=Name")
def nothing_was_ever_sold(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().with_columns(sales=pl.lit(0))))


@corpus.add(1, r"Not one unit was sold up to 2024-02-29, .* Found: 240 rows have negative units")
def everything_is_negative(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().with_columns(sales=-pl.col("sales"))))


@corpus.add(0, r"4 series")
def everything_is_negative_and_sales_are_net_of_returns(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().with_columns(sales=-pl.col("sales"))), "--returns", "net")


@corpus.add(1, r"The comma in numbers such as \d,\d+ in 'sales' may divide thousands or decimals\. Say which")
def numbers_whose_comma_may_be_either(folder: Path) -> list[str]:
    table = with_column("sales", lambda i, row: f"{1 + i % 9},{100 + row['sales']}")
    return forecast(text(folder, table.write_csv(separator=";")))


@corpus.add(0, r"4 series", finding="negative_prices")
def prices_below_zero(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().with_columns(price=pl.lit(-1.0))))


# -- names ------------------------------------------------------------------------------------------------------------


@corpus.add(0, r"8 series")
def names_that_a_spreadsheet_would_run(folder: Path) -> list[str]:
    names = ("=cmd|' /C calc'!A0", "+SUM(1)", "-2+3", "@import", "\t=1")
    return forecast(sales_csv(folder, with_column("item", lambda i, row: names[i % 4])))


@corpus.add(0, r"8 series")
def names_that_a_browser_would_run(folder: Path) -> list[str]:
    names = ("<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</svg><svg onload=alert(1)>", "{{ 7 * 7 }}")
    return forecast(sales_csv(folder, with_column("item", lambda i, row: names[i % 4])))


@corpus.add(0, r"8 series")
def names_with_control_characters_and_line_breaks(folder: Path) -> list[str]:
    names = ("a\nb", "\x1b[31mred\x1b[0m", "bell\x07", "right\u202eleft")
    with_column("item", lambda i, row: names[i % 4]).write_parquet(folder / "odd.parquet")
    return forecast(folder / "odd.parquet")


@corpus.add(0, r"240 rows")
def names_of_ten_thousand_characters(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("item", lambda i, row: "n" * 10_000 + row["item"])))


@corpus.add(0, r"4 series", finding="differing_names")
def names_that_differ_by_case_and_blanks(folder: Path) -> list[str]:
    names = ("Tea", " tea", "TEA ", "Coffee")
    return forecast(sales_csv(folder, with_column("item", lambda i, row: names[i % 4])))


@corpus.add(1, r"None of the 240 rows of sales\.csv has a usable .* Most often: 240 lines with missing items")
def no_row_has_an_item(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().with_columns(item=pl.lit(None))))


@corpus.add(0, r"27 of 240 rows cannot be used: 27 rows", finding="missing_items")
def items_that_are_fractions_and_not_a_number(folder: Path) -> list[str]:
    with_column("item", lambda i, row: float("nan") if i % 9 == 0 else 1.5).write_parquet(folder / "fractions.parquet")
    return forecast(folder / "fractions.parquet")


@corpus.add(0, r"4 series")
def units_so_small_that_they_are_nothing(folder: Path) -> list[str]:
    sound().with_columns(sales=pl.col("sales") * 1e-300).write_parquet(folder / "tiny.parquet")
    return scored(folder / "tiny.parquet")


@corpus.add(0, r"4 series")
def one_single_unit_ever_sold(folder: Path) -> list[str]:
    return scored(sales_csv(folder, with_column("sales", lambda i, row: int(i == 50))))


@corpus.add(0, r"6 of 240 rows cannot be used", finding="missing_items")
def some_rows_have_no_item(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("item", lambda i, row: "" if i % 40 == 0 else row["item"])))


@corpus.add(0, r"8 series", finding="young_series")
def every_row_its_own_item(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, with_column("item", lambda i, row: f"id{i}")), "--cutoff", "2024-01-02")


# -- the cutoff -------------------------------------------------------------------------------------------------------


@corpus.add(1, r"No row of sales\.csv lies within history: choose a later cutoff")
def a_cutoff_before_all_history(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--cutoff", "2020-01-01")


@corpus.add(0, r"History ends with 2024-02-29, before the cutoff 2090-01-01: the forecast begins on 2024-03-01")
def a_cutoff_in_the_far_future(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--cutoff", "2090-01-01")


@corpus.add(2, r"'last Monday' is not a date\. Write it as year-month-day")
def a_cutoff_in_words(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--cutoff", "last Monday")


@corpus.add(2, r"'2024-02-30' is not a date")
def a_cutoff_on_the_thirtieth_of_february(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--cutoff", "2024-02-30")


@corpus.add(2, r"'13\.06\.2024' is not a date")
def a_cutoff_written_day_first(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--cutoff", "13.06.2024")


@pytest.mark.parametrize("case", corpus.params())
def test_a_wrong_value_is_answered(case: Case, answer: Callable[[Case], None]) -> None:
    answer(case)
