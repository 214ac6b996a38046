"""Recruit's folder: what was reserved early enough is known ahead."""

from datetime import date

from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales

ALL = {
    "air_visit_data.csv": "air_store_id,visit_date,visitors\nair_a,2017-04-19,25\nair_a,2017-04-21,32\nair_a,2017-04-22,20\n"
                          "air_b,2017-04-20,8\nair_b,2017-04-22,9\n",
    "air_store_info.csv": "air_store_id,air_genre_name,air_area_name,latitude,longitude\nair_a,Izakaya,Tokyo,35.6,139.7\n"
                          "air_b,Dining bar,Osaka,34.7,135.5\n",
    "date_info.csv": "calendar_date,day_of_week,holiday_flg\n" + "".join(
        f"2017-04-{d:02d},x,{int(d == 29)}\n" for d in range(19, 31)),
    "air_reserve.csv": "air_store_id,visit_datetime,reserve_datetime,reserve_visitors\n"
                       "air_a,2017-04-21 19:00:00,2017-04-20 10:00:00,4\nair_a,2017-04-21 20:00:00,2017-03-01 10:00:00,6\n"
                       "air_a,2017-05-06 19:00:00,2017-03-20 10:00:00,10\n",
    "hpg_reserve.csv": "hpg_store_id,visit_datetime,reserve_datetime,reserve_visitors\n"
                       "hpg_x,2017-04-21 18:00:00,2017-04-19 10:00:00,3\nhpg_y,2017-04-21 18:00:00,2017-04-19 10:00:00,50\n",
    "store_id_relation.csv": "air_store_id,hpg_store_id\nair_a,hpg_x\n",
}


def test_a_day_without_visitors_is_not_known_and_a_place_lies_on_the_map(written):
    lines = read_sales(written(ALL))
    panel = clean_sales(lines).panel
    assert panel.dense().observed.tolist() == [[True, False, True, True], [False, True, False, True]]
    assert lines.places.columns[:3] == ["location", "latitude", "longitude"] and "air_genre_name" in lines.places.columns


def test_reservations_are_known_ahead_only_if_they_were_made_early_enough(written):
    lines = read_sales(written(ALL))
    assert {n: k for n, k in lines.covariates.items() if n.startswith("reserved")} == {
        "reserved_39_days_ahead": "known", "reserved_guests": "past"}
    table = next(t.frame for t in lines.tables if "reserved_guests" in t.frame.collect_schema()).collect()
    at = {(r["location"], r["date"]): (r["reserved_guests"], r["reserved_39_days_ahead"]) for r in table.iter_rows(named=True)}
    assert at["air_a", date(2017, 4, 21)] == (13.0, 6.0) and at["air_b", date(2017, 4, 21)] == (0.0, 0.0)
    assert at["air_a", date(2017, 5, 6)] == (10.0, 10.0)
    assert max(d for _, d in at) == date(2017, 5, 31)
