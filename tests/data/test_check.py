"""Each kind of finding is found where it is, with its count and its first place, and not where it is not."""

import json
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from shelfcast.data.check import check_sales
from shelfcast.data.findings import KINDS, SEVERITIES, joined
from shelfcast.data.lines import Covariates, SalesLines, text_of
from shelfcast.data.read import read_sales
from shelfcast.errors import DataError
from shelfcast.names import DATE, ITEM, LATITUDE, LOCATION, LONGITUDE, SALES
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency

MONDAY = date(2024, 1, 1)


def day(number: int) -> date:
    """The day so many days after Monday, 2024-01-01."""
    return date.fromordinal(MONDAY.toordinal() + number)


def made(columns: dict, **rest) -> SalesLines:
    """Lines from columns; one item and sixty ordinary days where nothing else is said."""
    length = max(len(v) for v in columns.values() if isinstance(v, list))
    full = {DATE: [day(i) for i in range(length)], SALES: ordinary(length), **columns}
    frame = pl.DataFrame(full, strict=False).with_columns(pl.col(SALES).cast(pl.Float64)).with_row_index("row")
    return SalesLines(frame.lazy(), "hand.csv", first_line=2, **rest)


def ordinary(length: int, seed: int = 0) -> list[float]:
    """Sales without any trouble."""
    return np.random.default_rng(seed).poisson(20, length).astype(float).tolist()


def with_value(values: list, at: int, value) -> list:
    """The list with one value exchanged."""
    return [*values[:at], value, *values[at + 1 :]]


def several(parts: dict, *, key: str = ITEM, **rest) -> SalesLines:
    """{name: {day number: sales}} as recorded series."""
    rows = [(name, day(i), float(s)) for name, series in parts.items() for i, s in series.items()]
    frame = pl.DataFrame(rows, schema=[key, DATE, SALES], orient="row").with_row_index("row")
    return SalesLines(frame.lazy(), "hand.csv", **rest)


def noise(seed: int, length: int = 120) -> dict:
    """Ordinary sales by day number."""
    return dict(enumerate(ordinary(length, seed)))


DAYS = [day(i) for i in range(60)]
PLAIN = ordinary(60)
STEP = {i: (v if i < 60 else 12 * round(v)) for i, v in noise(3).items()}
SHIFT = {i: (v if i < 60 else 4.1 * v) for i, v in noise(3).items()}
PLACES = pl.DataFrame(
    {
        LOCATION: [f"p{i}" for i in range(12)],
        LATITUDE: [42 + i / 10 for i in range(12)],
        LONGITUDE: [-93.0 - i / 10 for i in range(12)],
    }
)


def placed(changes: dict) -> SalesLines:
    """Twelve places in Iowa, of which some have other coordinates."""
    table = PLACES
    for name, (latitude, longitude) in changes.items():
        here = pl.col(LOCATION) == name
        table = table.with_columns(
            pl.when(here).then(pl.lit(latitude)).otherwise(pl.col(LATITUDE)).alias(LATITUDE),
            pl.when(here).then(pl.lit(longitude)).otherwise(pl.col(LONGITUDE)).alias(LONGITUDE),
        )
    return several({f"p{i}": noise(i, 10) for i in range(12)}, key=LOCATION, places=table)


def flagged(name: str, values: list, kind: str = "known") -> SalesLines:
    """One series with one covariate."""
    return made({SALES: ordinary(len(values)), name: values}, covariates={name: kind})


def invoiced(days: list) -> pl.DataFrame:
    """An invoice line for each day number, one customer an invoice."""
    return pl.DataFrame(
        {
            "invoice": [f"A{i}" for i in days],
            ITEM: "a",
            DATE: [day(i) for i in days],
            SALES: [20 + i % 20 for i in days],
            "customer": [i % 3 for i in days],
        }
    )


CASES = {
    "unparsable_dates": (
        lambda: made({DATE: with_value(DAYS, 7, None), text_of(DATE): with_value([str(d) for d in DAYS], 7, "31.02.")}),
        1,
        "line 9, 31.02.",
    ),
    "missing_dates": (lambda: made({DATE: with_value(DAYS, 7, None)}), 1, "line 9"),
    "absurd_dates": (lambda: made({DATE: with_value(DAYS, 7, date(1899, 12, 30))}), 1, "1899-12-30"),
    "future_dates": (lambda: made({DATE: with_value(DAYS, 7, date(2099, 1, 1))}), 1, "2099-01-01"),
    "missing_items": (lambda: made({ITEM: with_value(["a"] * 60, 3, " ")}), 1, "line 5"),
    "missing_locations": (lambda: made({LOCATION: with_value([1] * 60, 3, None)}), 1, "line 5"),
    "unparsable_sales": (
        lambda: made({SALES: with_value(PLAIN, 2, None), text_of(SALES): with_value(["1"] * 60, 2, "ten")}),
        1,
        "ten",
    ),
    "missing_sales": (lambda: made({SALES: with_value(PLAIN, 2, None)}), 1, "line 4"),
    "infinite_sales": (lambda: made({SALES: with_value(PLAIN, 2, float("inf"))}), 1, "inf"),
    "huge_sales": (lambda: made({SALES: with_value(PLAIN, 2, 4006381333931.0)}), 1, "line 4"),
    "times_of_day": (lambda: made({DATE: [datetime(2024, 1, 1, 9, i) for i in range(60)]}, shape="transactions"), 60, "09:00"),
    "fractional_units": (lambda: made({SALES: with_value(PLAIN, 2, 0.5)}), 1, "0.5"),
    "cancelled_lines": (lambda: made({"cancelled": with_value([False] * 60, 2, True)}, shape="transactions"), 1, "line 4"),
    "no_products": (lambda: made({"service": with_value([False] * 60, 2, True)}, shape="transactions"), 1, "line 4"),
    "zero_prices": (lambda: made({"price": with_value([2.0] * 60, 2, 0.0)}), 1, "0.0"),
    "negative_prices": (lambda: made({"price": with_value([2.0] * 60, 2, -3.0)}), 1, "-3.0"),
    "infinite_prices": (lambda: made({"price": with_value([2.0] * 60, 2, float("inf"))}), 1, "inf"),
    "sales_without_price": (lambda: made({"price": with_value([2.0] * 60, 2, None)}), 1, "line 4"),
    "unparsable_price": (
        lambda: made({"price": with_value([2.0] * 60, 2, None), text_of("price"): with_value(["2"] * 60, 2, "free")}),
        1,
        "free",
    ),
    "unparsable_promo": (
        lambda: made({"promo": with_value([0] * 60, 2, None), text_of("promo"): with_value(["0"] * 60, 2, "yes?")}),
        1,
        "yes?",
    ),
    "unparsable_stock": (
        lambda: made({"stock": with_value([9] * 60, 2, None), text_of("stock"): with_value(["9"] * 60, 2, "lots")}),
        1,
        "lots",
    ),
    "unparsable_available": (
        lambda: made({"available": with_value([1] * 60, 2, None), text_of("available"): with_value(["1"] * 60, 2, "?")}),
        1,
        "?",
    ),
    "returns": (lambda: made({SALES: with_value(PLAIN, 2, -4.0)}, shape="transactions"), 1, "-4"),
    "time_zones": (
        lambda: replace(
            made({} | {SALES: PLAIN}),
            frame=made({SALES: PLAIN}).frame.with_columns(pl.col(DATE).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")),
        ),
        60,
        "",
    ),
    "equal_lines": (lambda: read_sales(invoiced([*range(60), 7])), 1, "row 61, item a, 2024-01-08, units 27"),
    "repeated_keys": (lambda: made({DATE: with_value(DAYS, 7, day(6)), SALES: with_value(PLAIN, 7, 99.0)}), 1, "2024-01-07"),
    "finer_than_recorded": (
        lambda: made({DATE: [day(7 * i) for i in range(30)], SALES: ordinary(30)}, freq=Frequency("D")),
        1,
        "weekly",
    ),
    "stray_dates": (lambda: made({DATE: [*[day(i) for i in range(200)], date(2026, 6, 1)], SALES: ordinary(201)}), 1, "2026-06-01"),
    "differing_names": (lambda: made({ITEM: with_value(["milk"] * 60, 3, "Milk ")}), 1, "Milk"),
    "formula_names": (lambda: made({ITEM: with_value(["milk"] * 60, 3, "=1+1")}), 1, "=1+1"),
    "dummy_names": (lambda: made({ITEM: with_value(["milk"] * 60, 3, "TEST 2")}), 1, "TEST 2"),
    "unreadable_names": (lambda: made({ITEM: with_value(["milk"] * 60, 3, "x" * 10_000)}), 1, "xxx"),
    "gaps": (lambda: several({"a": {i: v for i, v in noise(1).items() if i not in (5, 6, 50)}}), 3, "2024-01-06, 2 missing"),
    "closed_places": (
        lambda: several(
            {"p": noise(1), "q": {i: 0 if 40 <= i < 70 else v for i, v in noise(2).items()}, "r": noise(3)}, key=LOCATION
        ),
        1,
        "location q, 2024-02-10, 30 days",
    ),
    "closed_weekdays": (
        lambda: several({"p": noise(1), "q": {i: 0 if i % 7 == 6 else v for i, v in noise(2).items()}}, key=LOCATION),
        1,
        "Sunday",
    ),
    "withdrawn_series": (lambda: several({"a": noise(1, 400), "b": noise(2, 30)}), 1, "item b"),
    "young_series": (
        lambda: several({"a": noise(1, 100), "b": {i: v for i, v in noise(2, 100).items() if i > 90}}),
        1,
        "item b, 9 days",
    ),
    "zero_series": (lambda: several({"a": noise(1), "b": dict.fromkeys(range(120), 0)}), 1, "item b"),
    "constant_series": (lambda: several({"a": noise(1), "b": dict.fromkeys(range(120), 7)}), 1, "item b, always 7"),
    "duplicate_series": (lambda: several({"a": noise(1), "b": noise(1), "c": noise(2)}), 1, "item b, like item a"),
    "mixed_frequencies": (
        lambda: several({"a": noise(1), "b": {i: v for i, v in noise(2).items() if i % 7 == 0}}),
        1,
        "item b, every 7 days",
    ),
    "partial_periods": (
        lambda: made({DATE: [day(i) for i in range(2, 46)], SALES: ordinary(44)}, shape="transactions", freq=Frequency("W")),
        2,
        "2024-01-01",
    ),
    "outliers": (lambda: several({"a": {**noise(1), 50: 5000.0}}), 1, "2024-02-20, 5,000"),
    "unit_jumps": (lambda: several({"a": STEP}), 1, "times 12"),
    "level_shifts": (lambda: several({"a": SHIFT}), 1, "times 4"),
    "sudden_zeros": (
        lambda: several({"a": {i: 0 if 40 <= i < 50 else v for i, v in noise(1).items()}, "b": noise(2)}),
        1,
        "2024-02-10, 10 days",
    ),
    "odd_prices": (lambda: made({"price": with_value([2.0] * 60, 9, 24.0)}), 1, "24"),
    "sold_without_stock": (lambda: made({"available": with_value([1] * 60, 9, 0)}), 1, "2024-01-10"),
    "leaking_covariates": (lambda: flagged("plan", [2 * v + 1 for v in ordinary(150)]), 1, "plan: correlation 1.00"),
    "results_declared_known": (lambda: flagged("Customers", ordinary(60, 9)), 1, "Customers"),
    "telling_past": (lambda: flagged("revenue", [3 * v for v in ordinary(150)], "past"), 1, "revenue"),
    "missing_future": (lambda: flagged("campaign", [i % 3 for i in range(60)]), 5, "2024-03-01, campaign"),
    "null_covariates": (lambda: flagged("campaign", with_value([i % 3 for i in range(60)], 4, None)), 1, "campaign: 1 of 60"),
    "constant_covariates": (lambda: flagged("campaign", [1] * 60), 1, "campaign"),
    "unmatched_covariates": (
        lambda: several(
            {"a": noise(1), "b": noise(2)},
            covariates={"offer": "known"},
            tables=(Covariates(pl.LazyFrame({ITEM: ["a"], "offer": [1.0]}), "offers.csv"),),
        ),
        1,
        "item b",
    ),
    "unused_columns": (lambda: made({SALES: PLAIN}, left_out=("Weather",)), 1, "Weather"),
    "impossible_coordinates": (lambda: placed({"p3": (0.0, 0.0)}), 1, "location p3"),
    "swapped_coordinates": (lambda: placed({"p3": (-93.3, 42.3)}), 1, "location p3"),
    "places_outside": (lambda: placed({"p3": (42.3, 93.3)}), 1, "location p3"),
    "places_without_coordinates": (lambda: placed({"p3": (None, None)}), 1, "location p3"),
    "places_without_sales": (lambda: several({"p0": noise(1), "p1": noise(2)}, key=LOCATION, places=PLACES), 10, "location p10"),
    "sales_without_place": (lambda: several({"p0": noise(1), "elsewhere": noise(2)}, key=LOCATION, places=PLACES), 1, "elsewhere"),
    "items_without_sales": (lambda: several({"a": noise(1)}, items=pl.DataFrame({ITEM: ["a", "z"], "size": [1, 2]})), 1, "item z"),
    "items_without_attributes": (
        lambda: several({"a": noise(1), "b": noise(2)}, items=pl.DataFrame({ITEM: ["a"], "size": [1]})),
        1,
        "item b",
    ),
}


def test_every_registered_kind_has_its_case():
    assert set(CASES) == set(KINDS)
    assert len(KINDS) >= 25
    for kind in KINDS.values():
        assert kind.severity in SEVERITIES and kind.why.endswith(".") and kind.does and not kind.says[0].isupper()


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_kind_is_found_where_it_is(name):
    source, count, place = CASES[name]
    finding = check_sales(source(), horizon=5).named(name)
    assert finding is not None, name
    assert finding.count == count and finding.count <= finding.of
    assert place in (str(finding.places[0]) if finding.places else "")


def test_ordinary_sales_have_no_findings():
    findings = check_sales(several({"a": noise(1), "b": noise(2)}))
    assert [f.name for f in findings] == []
    assert findings.worst is None and "Nothing was found" in findings.to_text()


@pytest.mark.parametrize("name", ["repeated_keys", "missing_future", "leaking_covariates"])
def test_what_makes_a_forecast_untrue_is_an_error(name):
    findings = check_sales(CASES[name][0](), horizon=5)
    assert findings.has_errors and findings.named(name).severity == "ERROR"
    assert "mend the ERRORs" in findings.to_text()


def test_rows_that_repeat_and_say_the_same_are_only_a_warning():
    source = made({DATE: with_value(DAYS, 7, day(6)), SALES: with_value(PLAIN, 7, PLAIN[6])})
    assert check_sales(source).named("repeated_keys").severity == "WARNING"


def test_a_date_column_that_mostly_cannot_be_read_is_an_error():
    texts = ["soon"] * 40 + [str(d) for d in DAYS[40:]]
    findings = check_sales(made({DATE: [None] * 40 + DAYS[40:], text_of(DATE): texts}))
    assert findings.named("unparsable_dates").severity == "ERROR"


def test_a_source_without_one_usable_line_is_an_error_and_not_a_crash():
    findings = check_sales(
        made({DATE: pl.Series([None] * 3, dtype=pl.Date).to_list(), SALES: [1.0, 2.0, 3.0], text_of(DATE): ["x", "y", "z"]})
    )
    assert findings.has_errors and findings.named("nothing_usable") is not None
    assert findings.named("unparsable_dates").count == 3


def test_a_source_without_sales_says_which_columns_it_has():
    with pytest.raises(DataError, match="no column for sales"):
        check_sales(SalesLines(pl.LazyFrame({DATE: [day(0)], "Umsatz": [1]}), "hand.csv"))


def test_money_at_stake_is_told_where_there_are_prices():
    source = made(
        {"cancelled": with_value([False] * 60, 2, True), SALES: with_value(PLAIN, 2, -4.0), "price": [2.5] * 60},
        shape="transactions",
    )
    assert check_sales(source).named("cancelled_lines").money == pytest.approx(10.0)
    assert check_sales(made({SALES: with_value(PLAIN, 2, -4.0)})).named("returns").money is None


def test_the_text_has_a_line_each_and_ends_with_what_to_do_next():
    text = check_sales(made({DATE: with_value(DAYS, 7, day(6)), SALES: with_value(PLAIN, 7, 99.0)})).to_text()
    assert text.splitlines()[0].startswith("hand.csv   60 rows · 1 item · 1 location · daily, 2024-01-01 to 2024-02-29")
    assert "  ERROR   1 row repeats an item, location and date" in text
    assert text.splitlines()[-1].startswith("Next: ")


@pytest.mark.parametrize(
    ("name", "headline"),
    [
        ("constant_covariates", "1 covariate never changes"),
        ("results_declared_known", "1 known covariate has the name of a result, not of a plan"),
        ("sudden_zeros", "1 silence of regular sellers looks like empty shelves"),
        ("null_covariates", "1 value of known covariates is empty in rows that are there"),
        ("duplicate_series", "1 series is an exact copy of another one"),
    ],
)
def test_one_thing_is_told_in_the_singular(name, headline):
    assert check_sales(CASES[name][0](), horizon=5).named(name).headline == headline


def test_odds_are_told_in_words_for_a_planner():
    (place,) = check_sales(CASES["sudden_zeros"][0]()).named("sudden_zeros").places
    assert place.value == "10 days, by chance less than 1 in a million"


def test_lines_that_differ_in_a_column_that_nothing_uses_are_no_copies():
    table = invoiced([*range(60), 7])
    other = table.with_columns(pl.when(pl.int_range(pl.len()) == 60).then(99).otherwise(pl.col("customer")).alias("customer"))
    assert check_sales(read_sales(other)).named("equal_lines") is None
    assert check_sales(read_sales(table.drop("invoice"))).named("equal_lines") is None  # two sales, for all we know
    assert check_sales(read_sales(table), cutoff=day(5)).named("equal_lines") is None


def test_a_file_joined_to_itself_is_a_warning():
    finding = check_sales(read_sales(invoiced([*range(60), *range(60)]))).named("equal_lines")
    assert finding.severity == "WARNING" and finding.headline == "60 rows equal another one in every column, invoice included"


def test_a_cancelled_line_is_not_counted_as_a_return_too():
    sales, flags = with_value(with_value(PLAIN, 2, -4.0), 5, -3.0), with_value([False] * 60, 2, True)
    source = made({"cancelled": flags, SALES: sales, "price": [2.5] * 60}, shape="transactions")
    findings = check_sales(source)
    assert [(findings.named(n).count, findings.named(n).money) for n in ("cancelled_lines", "returns")] == [(1, 10.0), (1, 7.5)]


def test_findings_are_plain_values_for_json_and_a_table():
    findings = check_sales(CASES["negative_prices"][0]())
    told = json.loads(json.dumps(findings.to_json()))
    assert told["worst"] == "WARNING" and told["findings"][0]["places"][0]["line"] == 4
    assert findings.to_frame().filter(pl.col("name") == "negative_prices")["count"].item() == 1
    assert len(joined(findings, list(findings))) == 2 * len(findings)


def test_a_panel_is_checked_as_lines_are():
    frame = pl.DataFrame(
        {
            ITEM: ["a"] * 120 + ["b"] * 120,
            DATE: [day(i) for i in range(120)] * 2,
            SALES: [*STEP.values(), *[7.0] * 120],
            "campaign": [i % 2 for i in range(120)] * 2,
        }
    )
    panel = SalesPanel.from_frame(frame, known=["campaign"])
    findings = check_sales(panel, horizon=3)
    assert {"unit_jumps", "constant_series", "missing_future"} <= {f.name for f in findings}


def test_a_closing_that_a_flag_explains_is_not_an_empty_shelf():
    sales = [0.0 if 40 <= i < 50 or i % 7 == 6 else v for i, v in noise(1).items()]
    flag = [int(s > 0) for s in sales]
    source = made({SALES: sales, "Open": flag}, covariates={"Open": "known"})
    assert check_sales(source).named("sudden_zeros") is None
    assert check_sales(made({SALES: sales, "Open": flag}, covariates={"Open": "past"})).named("sudden_zeros") is not None


def test_december_goods_are_not_withdrawn_in_autumn():
    christmas = {i: 20.0 + i % 3 for year in range(3) for i in range(365 * year, 365 * year + 30)}
    always = {i: 5.0 + i % 4 for i in range(365 * 3 - 40)}
    findings = check_sales(several({"a": christmas, "b": always}, shape="transactions"))
    assert findings.named("withdrawn_series") is None
