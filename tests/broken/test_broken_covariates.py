"""Covariates, attributes and places that do not fit the sales."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from broken.builders import DAYS, FIRST, forecast, sales_csv, sound, text
from broken.corpus import Case, Corpus

corpus = Corpus()


def weather(days: int = DAYS + 10) -> pl.DataFrame:
    """A covariate by day, which reaches past the last sale."""
    return pl.DataFrame([{"date": FIRST + timedelta(days=t), "rain": t % 3} for t in range(days)])


def beside(folder: Path, table: pl.DataFrame, *flags: str, name: str = "weather.csv") -> list[str]:
    """A forecast of the sound sales with a covariate file."""
    table.write_csv(folder / name)
    return forecast(sales_csv(folder), "--covariates", str(folder / name), *flags)


# -- known and past ---------------------------------------------------------------------------------------------------


@corpus.add(2, r"No covariate is called 'rian'\. Did you mean 'rain'\?")
def a_known_covariate_that_is_nowhere(folder: Path) -> list[str]:
    return beside(folder, weather(), "--known", "rian")


@corpus.add(2, r"No covariate is called 'weather'")
def a_past_covariate_that_is_nowhere(folder: Path) -> list[str]:
    return beside(folder, weather(), "--past", "weather")


@corpus.add(2, r"'rain' is declared both known and past")
def the_same_name_known_and_past(folder: Path) -> list[str]:
    return beside(folder, weather(), "--known", "rain", "--past", "rain")


@corpus.add(1, r"known covariate 'promo' has no row for 12 of 12 future periods; the first: item item0, location shop0, 2024-03-01")
def a_known_covariate_without_a_future(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().with_columns(promo=pl.col("sales") % 2)), "--known", "promo")


@corpus.add(1, r"known covariate 'rain' has no row for 4 of 12 future periods; the first: item item0, location shop0, 2024-03-03")
def a_known_covariate_whose_future_ends_too_early(folder: Path) -> list[str]:
    return beside(folder, weather(DAYS + 2), "--known", "rain")


@corpus.add(1, r"known covariate 'rain' has no row for 6 of 12 future periods; the first: item item0, location shop1, 2024-03-01")
def a_known_covariate_without_a_future_at_one_place(folder: Path) -> list[str]:
    one = weather().with_columns(location=pl.lit("shop0"))
    other = weather(DAYS).with_columns(location=pl.lit("shop1"))
    return beside(folder, pl.concat([one, other]), "--known", "rain")


@corpus.add(2, r"'sales' is the sales column; it cannot be a covariate too")
def the_sales_declared_known(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--known", "sales")


@corpus.add(2, r"'date' is the date column; it cannot be a covariate too")
def the_date_declared_known(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--known", "date")


@corpus.add(0, r"4 series")
def a_known_covariate_that_is_always_empty(folder: Path) -> list[str]:
    return beside(folder, weather().with_columns(rain=pl.lit(None, pl.Int64)), "--known", "rain", "--model", "boosted")


@corpus.add(0, r"4 series")
def a_known_covariate_with_infinite_values(folder: Path) -> list[str]:
    endless = weather().with_columns(rain=pl.when(pl.col("rain") == 1).then(float("inf")).otherwise(pl.lit(float("nan"))))
    endless.write_parquet(folder / "weather.parquet")
    return forecast(sales_csv(folder), "--covariates", str(folder / "weather.parquet"), "--known", "rain", "--model", "boosted")


@corpus.add(1, r"The column 'rain' holds values of type List.*, which cannot be used as rain")
def a_known_covariate_of_lists(folder: Path) -> list[str]:
    weather().with_columns(pl.concat_list("rain")).write_parquet(folder / "weather.parquet")
    return forecast(sales_csv(folder), "--covariates", str(folder / "weather.parquet"), "--known", "rain")


@corpus.add(1, r"The column 'rain' holds values of type Duration.*, which cannot be used as rain")
def a_known_covariate_of_durations(folder: Path) -> list[str]:
    weather().with_columns(pl.duration(days="rain").alias("rain")).write_parquet(folder / "weather.parquet")
    return forecast(sales_csv(folder), "--covariates", str(folder / "weather.parquet"), "--known", "rain")


@pytest.mark.parametrize("place", ["sales", "file"])
@pytest.mark.parametrize("name", ["row", "series", "period", "date as written", "~sold", "sold", "lines", "days", "start", "mean"])
def test_a_covariate_may_have_any_name_or_is_refused_by_it(name: str, place: str, answer: Callable[[Case], None]) -> None:
    def build(folder: Path) -> list[str]:
        if place == "file":
            return beside(folder, weather().rename({"rain": name}), "--known", name)
        table = sound().join(weather().rename({"rain": name}), on="date").rename({"sales": "units"})
        return forecast(sales_csv(folder, table), "--past", name, "--columns", "sales=units")

    if name in ("row", "series", "period", "date as written", "~sold"):
        says = rf"A covariate cannot be called '{name}', which has a meaning of its own here\. Rename the column"
        answer(Case(name, build, 1, says))
    else:
        answer(Case(name, build, 0, "4 series"))


# -- covariate files --------------------------------------------------------------------------------------------------


@corpus.add(2, r"There is no file '.*wether\.csv'\. Did you mean 'weather\.csv'\?")
def a_covariate_file_that_is_not_there(folder: Path) -> list[str]:
    weather().write_csv(folder / "weather.csv")
    return forecast(sales_csv(folder), "--covariates", str(folder / "wether.csv"))


@corpus.add(1, r"weather\.csv has none of the columns item, location, date")
def a_covariate_file_without_keys(folder: Path) -> list[str]:
    return beside(folder, weather().select("rain", wind=pl.col("rain")), "--known", "rain")


@corpus.add(1, r"weather\.csv has keys alone \(date\), and no column that could be a covariate")
def a_covariate_file_of_keys_alone(folder: Path) -> list[str]:
    return beside(folder, weather().select("date"))


@corpus.add(1, r"No location of weather\.csv is in the sales: it has 101, the sales have shop0, shop1")
def a_covariate_file_whose_places_have_other_names(folder: Path) -> list[str]:
    return beside(folder, weather().with_columns(location=pl.lit(101)), "--known", "rain")


@corpus.add(0, r"Covariates of weather\.csv, joined by date: rain")
def a_covariate_file_that_says_two_things_of_one_day(folder: Path) -> list[str]:
    return beside(folder, pl.concat([weather(), weather().with_columns(rain=pl.col("rain") + 5)]), "--known", "rain")


@corpus.add(1, r"No value of the column 'date' is a date; the first: 'dry'")
def a_covariate_file_whose_dates_are_words(folder: Path) -> list[str]:
    return beside(folder, weather().with_columns(date=pl.lit("dry")), "--known", "rain")


@corpus.add(2, r"The folder '.*/weather' holds no file that can be read")
def a_folder_in_place_of_a_covariate_file(folder: Path) -> list[str]:
    (folder / "weather").mkdir()
    return forecast(sales_csv(folder), "--covariates", str(folder / "weather"))


@corpus.add(1, r"weather\.csv is empty")
def a_covariate_file_that_is_empty(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--covariates", str(text(folder, b"", "weather.csv")))


# -- attributes -------------------------------------------------------------------------------------------------------


@corpus.add(1, r"items\.csv has more than one row for the item item0")
def attributes_that_repeat_their_item(folder: Path) -> list[str]:
    table = pl.DataFrame({"item": ["item0", "item0", "item1"], "family": ["tea", "coffee", "tea"]})
    return forecast(sales_csv(folder), "--static", str(sales_csv(folder, table, "items.csv")))


@corpus.add(1, r"items\.csv has no column of items or locations as in the sales.* Its columns: family, size")
def attributes_without_a_key(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--static", str(text(folder, "family,size\ntea,3\n", "items.csv")))


@corpus.add(1, r"No item of items\.csv is in the sales: it has 4711, 4712, the sales have item0, item1")
def attributes_of_other_items(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--static", str(text(folder, "item,family\n4711,tea\n4712,coffee\n", "items.csv")))


@corpus.add(2, r"There is no file '.*items\.csv'")
def attributes_that_are_not_there(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--static", str(folder / "items.csv"))


# -- places -----------------------------------------------------------------------------------------------------------


@corpus.add(1, r"No column of places\.csv looks like the latitude\. .* Call its column latitude")
def places_without_coordinates(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--places", str(text(folder, "location,town\nshop0,Bonn\nshop1,Ulm\n", "places.csv")))


@corpus.add(0, r"4 series", finding="impossible_coordinates")
def coordinates_beyond_the_poles(folder: Path) -> list[str]:
    places = "location,latitude,longitude\nshop0,999,8.5\nshop1,48.1,-12345\n"
    return forecast(sales_csv(folder), "--places", str(text(folder, places, "places.csv")))


@corpus.add(1, r"No value of the column 'latitude' is a number; the first: 'north'\. Write numbers there")
def coordinates_in_words(folder: Path) -> list[str]:
    places = "location,latitude,longitude\nshop0,north,east\nshop1,south,west\n"
    return forecast(sales_csv(folder), "--places", str(text(folder, places, "places.csv")))


@corpus.add(1, r"places\.csv has no column of locations as in the sales")
def places_without_a_location(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--places", str(text(folder, "latitude,longitude\n48.1,11.5\n", "places.csv")))


@corpus.add(0, r"4 series", finding="sales_without_place")
def places_of_other_shops(folder: Path) -> list[str]:
    places = "location,latitude,longitude\nshop0,48.1,11.5\nshop7,52.5,13.4\n"
    return forecast(sales_csv(folder), "--places", str(text(folder, places, "places.csv")))


@pytest.mark.parametrize("case", corpus.params())
def test_covariates_that_do_not_fit_are_answered(case: Case, answer: Callable[[Case], None]) -> None:
    answer(case)
