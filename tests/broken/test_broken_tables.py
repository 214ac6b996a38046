"""Tables of the wrong shape: encodings, headers, rows, columns, roles, and too little of everything."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from broken.builders import FIRST, forecast, sales_csv, sound, text, with_column
from broken.corpus import Case, Corpus

corpus = Corpus()


def lines(table: pl.DataFrame | None = None) -> list[str]:
    """The sound sales as lines of text, the header first."""
    return (sound() if table is None else table).write_csv().splitlines()


# -- encodings and bytes ----------------------------------------------------------------------------------------------


@corpus.add(0, r"sales\.csv is encoded as cp1252")
def names_that_are_not_utf8(folder: Path) -> list[str]:
    table = with_column("item", lambda i, row: "Käse" if row["item"] == "item0" else "Crème brûlée")
    return forecast(text(folder, table.write_csv().encode("cp1252")))


@corpus.add(0, r"sales\.csv is encoded as utf-16")
def utf_16_with_a_mark(folder: Path) -> list[str]:
    return forecast(text(folder, sound().write_csv().encode("utf-16")))


@corpus.add(0, r"sales\.csv is encoded as utf-16-le")
def utf_16_without_a_mark(folder: Path) -> list[str]:
    return forecast(text(folder, sound().write_csv().encode("utf-16-le")))


@corpus.add(1, r"sales\.csv begins as utf-16 and then does not hold to it")
def utf_16_cut_within_a_character(folder: Path) -> list[str]:
    return forecast(text(folder, sound().write_csv().encode("utf-16")[:-1]))


@corpus.add(0, r"240 rows")
def a_byte_order_mark(folder: Path) -> list[str]:
    return forecast(text(folder, b"\xef\xbb\xbf" + sound().write_csv().encode()))


@corpus.add(1, r"nul\.csv holds a NUL byte at position 5,000")
def a_nul_byte_among_the_sales(folder: Path) -> list[str]:
    raw = sound().write_csv().encode()
    return forecast(text(folder, raw[:5000] + b"\0" * 9 + raw[5000:], "nul.csv"))


@corpus.add(0, r"240 rows")
def lines_that_end_in_carriage_returns_alone(folder: Path) -> list[str]:
    return forecast(text(folder, "\r".join(lines()) + "\r"))


@corpus.add(1, r"The first line of endless\.csv is longer than 1 MiB")
def one_line_without_end(folder: Path) -> list[str]:
    return forecast(text(folder, b"x" * 3_000_000, "endless.csv"))


@corpus.add(1, r"quote\.csv has a quote .* in line 51 that is never closed")
def a_quote_that_is_never_closed(folder: Path) -> list[str]:
    rows = lines()
    return forecast(text(folder, "\n".join([*rows[:50], '"' + rows[50], *rows[51:]]), "quote.csv"))


# -- headers ----------------------------------------------------------------------------------------------------------


@corpus.add(1, r"sales\.csv has no header: its first line \(item0, shop0, 2024-01-01, 5\) looks like data")
def no_header(folder: Path) -> list[str]:
    return forecast(text(folder, "\n".join(lines()[1:])))


@corpus.add(1, r"sales\.csv has more than one column called 'sales'")
def a_name_twice_in_the_header(folder: Path) -> list[str]:
    return forecast(text(folder, "\n".join(["item,location,date,sales,sales", *(r + ",1" for r in lines()[1:])])))


@corpus.add(1, r"sales\.csv has more than one column called ''\. Give each column its own name")
def a_header_of_blanks(folder: Path) -> list[str]:
    return forecast(text(folder, "\n".join([",,,", *lines()[1:]])))


@corpus.add(1, r"Column 1 of sales\.csv has a name of 10,000 characters")
def a_column_name_of_ten_thousand_characters(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().rename({"item": "i" * 10_000})))


@corpus.add(0, r"Not used: extra0, extra1, .* \.\.\.\. To use one, name it with --known")
def five_thousand_columns(folder: Path) -> list[str]:
    table = sound(days=5).with_columns(pl.lit(i).alias(f"extra{i}") for i in range(4_996))
    return forecast(sales_csv(folder, table))


@corpus.add(0, r"240 rows")
def line_breaks_and_colours_in_the_names_of_columns(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().with_columns(pl.lit(1).alias("\x1b[31mnote\nof\x07 the till"))))


@corpus.add(1, r"(Line 8 of wide\.csv has 6 fields, its header has 4)")
def a_row_with_too_many_fields(folder: Path) -> list[str]:
    rows = lines()
    rows[7] += ",7,8"
    return forecast(text(folder, "\n".join(rows), "wide.csv"))


@corpus.add(0, r"lines of narrow\.csv have fewer fields than its header \(first: line 8 with 2 of 4\)")
def rows_with_too_few_fields(folder: Path) -> list[str]:
    rows = lines()
    rows[7] = "item0,shop0"
    return forecast(text(folder, "\n".join(rows), "narrow.csv"))


@corpus.add(1, r"Line 242 of sales\.csv has 8 fields, its header has 4 \(1 such lines\)")
def a_line_of_totals_at_the_end_with_its_own_fields(folder: Path) -> list[str]:
    return forecast(text(folder, "\n".join([*lines(), "total,2100,,,,,,"])))


@corpus.add(1, r"No column of sales\.csv looks like the date\. Its columns: sales\. Name it")
def one_column_only(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().select("sales")))


@corpus.add(1, r"Line 3 of title\.csv has 4 fields, its header has 1 \(241 such lines\)")
def a_title_above_the_header(folder: Path) -> list[str]:
    return forecast(text(folder, "\n".join(["Sales of all shops", "", *lines()]), "title.csv"))


# -- roles ------------------------------------------------------------------------------------------------------------


@corpus.add(1, r"No column of sales\.csv looks like the date\. Its columns: item, location, sales\. Name it: --columns date=")
def no_date_at_all(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().drop("date")))


@corpus.add(1, r"No column of sales\.csv looks like the sales\. Its columns: item, location, date\. Name it: --columns sales=")
def no_sales_at_all(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().drop("sales")))


@corpus.add(1, r"(?=.*units)(?=.*quantity).*--columns sales=")
def two_columns_that_may_be_the_sales(folder: Path) -> list[str]:
    table = sound().rename({"sales": "units"}).with_columns(quantity=pl.col("units") + 1)
    return forecast(sales_csv(folder, table))


@corpus.add(1, r"(?=.*order_date)(?=.*sales_date).*--columns date=")
def two_columns_that_may_be_the_date(folder: Path) -> list[str]:
    table = sound().rename({"date": "order_date"}).with_columns(sales_date=pl.col("order_date") + timedelta(days=2))
    return forecast(sales_csv(folder, table))


@corpus.add(2, r"No role is called 'product'\..*Known: item, location, date, sales")
def a_role_that_does_not_exist(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--columns", "product=item")


@corpus.add(2, r"No role is called 'locaton'\. Did you mean 'location'\?")
def a_role_with_a_letter_missing(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--columns", "locaton=location")


@corpus.add(2, r"No column is called 'Sale'\. Did you mean 'sales'\?")
def a_column_that_does_not_exist(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--columns", "sales=Sale")


@corpus.add(2, r"--columns: 'item' is given twice: 'item' and 'location'")
def a_role_twice(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--columns", "item=item,item=location")


@corpus.add(2, r"The column 'sales' is named for both sales and price\. A column has one role")
def a_column_with_two_roles(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--columns", "sales=sales,price=sales")


@corpus.add(2, r"'salesunits' is not of the form NAME=VALUE")
def columns_without_an_equals_sign(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--columns", "salesunits")


@corpus.add(1, r"No value of the column 'item' is a date; the first: 'item0'\. Name the date column")
def the_dates_named_as_the_item_and_the_item_as_the_date(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--columns", "date=item,item=date")


@corpus.add(1, r"No value of the column 'item' is a number; the first: 'item0'\. Name the right column: --columns sales=")
def a_text_named_as_the_sales(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--columns", "sales=item,item=sales")


# -- types ------------------------------------------------------------------------------------------------------------


@corpus.add(1, r"The column 'sales' of nested\.parquet holds values of type List")
def lists_in_place_of_sales(folder: Path) -> list[str]:
    sound().with_columns(pl.concat_list("sales")).write_parquet(folder / "nested.parquet")
    return forecast(folder / "nested.parquet")


@corpus.add(1, r"The column 'date' of structures\.parquet holds values of type Struct")
def structures_in_place_of_dates(folder: Path) -> list[str]:
    sound().with_columns(pl.struct("date").alias("date")).write_parquet(folder / "structures.parquet")
    return forecast(folder / "structures.parquet")


@corpus.add(0, r"No item column: all rows belong to the one item 'all'")
def lists_in_place_of_items(folder: Path) -> list[str]:
    sound().with_columns(pl.concat_list("item")).write_parquet(folder / "nested.parquet")
    return forecast(folder / "nested.parquet")


@corpus.add(1, r"The column 'sales' of times\.parquet holds values of type Duration")
def durations_in_place_of_sales(folder: Path) -> list[str]:
    sound().with_columns(pl.duration(days="sales").alias("sales")).write_parquet(folder / "times.parquet")
    return forecast(folder / "times.parquet")


@corpus.add(1, r"The column 'sales' holds values of type Binary, not numbers")
def bytes_in_place_of_sales(folder: Path) -> list[str]:
    sound().with_columns(pl.col("sales").cast(pl.String).cast(pl.Binary)).write_parquet(folder / "bytes.parquet")
    return forecast(folder / "bytes.parquet")


# -- too little -------------------------------------------------------------------------------------------------------


@corpus.add(0, r"1 series")
def one_row_in_all(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound(days=1, items=1, locations=1)), "--model", "auto")


@corpus.add(0, r"1 series")
def one_series_of_two_days(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound(days=2, items=1, locations=1)), "--model", "auto")


@corpus.add(0, r"2 series")
def two_items_with_one_row_each(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound(days=1, items=2, locations=1)), "--model", "boosted")


@corpus.add(0, r"2 series")
def two_rows_a_century_apart(folder: Path) -> list[str]:
    table = sound(days=2, items=2, locations=1).with_columns(
        date=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(FIRST.replace(year=1975))).otherwise("date"))
    return forecast(sales_csv(folder, table))


@corpus.add(0, r"4 series")
def the_same_table_twice_over(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, pl.concat([sound(), sound()])))


@pytest.mark.parametrize("case", corpus.params())
def test_a_table_of_the_wrong_shape_is_answered(case: Case, answer: Callable[[Case], None]) -> None:
    answer(case)
