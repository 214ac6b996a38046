"""Rossmann's folder: opening and promotion are known ahead, from the test file."""

from datetime import date, timedelta

import pytest

from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales

STORE = """Store,StoreType,Assortment,CompetitionDistance,CompetitionOpenSinceMonth,CompetitionOpenSinceYear,Promo2,\
Promo2SinceWeek,Promo2SinceYear,PromoInterval
1,c,a,1270,8,2015,0,,,
2,a,a,570,11,2007,1,13,2010,"Feb,May,Aug,Nov"
3,d,c,,,,1,33,2015,"Feb,May,Aug,Nov"
"""
HOLIDAY = date(2015, 7, 14)
HEAD = "Store,DayOfWeek,Date,Sales,Customers,Open,Promo,StateHoliday,SchoolHoliday\n"


def sales_file():
    """Sixty days up to 2015-07-30; Sundays closed, one public holiday."""
    rows = []
    for store in (1, 2, 3):
        for k in range(60):
            day = date(2015, 6, 1) + timedelta(days=k)
            closed = day.weekday() == 6
            rows.append(f'{store},{day.isoweekday()},{day},{0 if closed else 5000 + k},{0 if closed else 500}'
                        f',{0 if closed else 1},{day.day % 2},"{"a" if day == HOLIDAY else "0"}",1')
    return HEAD + "\n".join(rows) + "\n"


TEST = ("Id,Store,DayOfWeek,Date,Open,Promo,StateHoliday,SchoolHoliday\n" + "".join(
    f'{k},{store},{k},2015-0{7 if k == 31 else 8}-{k:02d},{"" if store == 3 else 1},1,"0",0\n'
    for k in (31, 1) for store in (1, 2, 3)))
ALL = {"train.csv": sales_file(), "test.csv": TEST, "store.csv": STORE, "store_states.csv": "Store,State\n1,HE\n2,TH\n3,NW\n"}


def test_opening_and_promotion_are_known_past_the_last_sale(written):
    lines = read_sales(written(ALL))
    assert {n: k for n, k in lines.covariates.items() if k == "past"} == {"Customers": "past"}
    panel = clean_sales(lines).panel
    assert panel.closed_when == "Open" and panel.horizon_given() == 2
    dense = panel.dense(horizon=2, covariates=["Open", "promo", "SchoolHoliday"])
    assert dense.known["promo"][0, -4:].tolist() == [1.0, 0.0, 1.0, 1.0]
    assert dense.known["Open"][:, -2:].tolist() == [[1.0, 1.0]] * 3  # store 3 does not say: it is open
    assert panel.places.filter(panel.places["location"] == 2)["State"].item() == "TH"


def test_letters_among_zeros_are_holidays_and_not_mistakes(written):
    frame = read_sales(written(ALL)).frame.select("date", "StateHoliday").collect()
    assert set(frame.filter(frame["date"] == HOLIDAY)["StateHoliday"]) == {"public"}
    assert set(frame["StateHoliday"]) == {"none", "public"}


def test_promo2_runs_in_its_months_from_its_week_on_and_rivals_open_on_their_day(written):
    lines = read_sales(written(ALL))
    table = next(t.frame for t in lines.tables if "Promo2Month" in t.frame.collect_schema()).collect()
    at = {(r["location"], r["date"].month): (r["Promo2Month"], r["CompetitionOpen"]) for r in table.iter_rows(named=True)}
    assert at == {(1, 6): (0, 0), (1, 7): (0, 0), (1, 8): (0, 1),
                  (2, 6): (0, 1), (2, 7): (0, 1), (2, 8): (1, 1),
                  (3, 6): (0, 0), (3, 7): (0, 0), (3, 8): (0, 0)}


@pytest.mark.data
def test_the_real_folder_without_its_test_file_says_so(public_data):
    lines = read_sales(public_data / "rossmann")
    assert any(s.startswith("Not in the folder: test.csv") for s in lines.told) and "State" in lines.places.columns
    assert lines.covariates["Open"] == lines.covariates["promo"] == lines.covariates["Promo2Month"] == "known"
