"""Parts of the prior that can be checked by hand: views, feasts, seasons, lives, orders, mishaps."""

from datetime import date, timedelta

import numpy as np
import pytest

from shelfcast.names import ALL
from shelfcast.periods import Frequency
from shelfcast.world.dice import Dice
from shelfcast.world.feasts import EPOCH, POOL, Feasts
from shelfcast.world.ledger import Ledger, Texts, names_of, panel_of, without_covariates
from shelfcast.world.lives import life_courses
from shelfcast.world.mishaps import with_mishaps
from shelfcast.world.patterns import draw_week, memory, own_peaks, promotion_weeks, returning, school_holidays, year_angle
from shelfcast.world.regimes.liquor import draw_liquor
from shelfcast.world.views import LAST, MEAN, MOST, SUM, monthly, over_items, over_places, weekly

MONDAY = date(2024, 1, 1).toordinal() - EPOCH


def books(days=60):
    """Three items at two places from a Wednesday on; one begins a day later, the first place is shut on Sundays."""
    rng = np.random.default_rng(1)
    item_of, place_of = np.repeat(np.arange(3), 2), np.tile(np.arange(2), 3)
    sold = rng.poisson(5.0, (6, days)).astype(float)
    row = np.ones((6, days), dtype=bool)
    row[item_of == 1, 0] = False
    closed = np.zeros((2, days), dtype=bool)
    closed[0] = (MONDAY + 2 + np.arange(days) + 3) % 7 == 6
    sold[closed[place_of]] = 0.0
    return Ledger(frequency=Frequency("D"), first=MONDAY + 2, items=names_of("I", 3), places=names_of("S", 2), item_of=item_of,
                  place_of=place_of, sold=sold, truth=np.where(closed[place_of] | ~row, np.nan, sold), row=row, demand=sold + 1.0,
                  known={"open": (~closed).astype(float), "promo": rng.integers(0, 2, (6, days)).astype(float),
                         "day": Texts(np.arange(days) % 2, ("none", "odd")), "number": np.arange(days, dtype=float)},
                  past={"stock": sold + 2.0}, item_facts={"kind": np.array(["a", "b", "a"])}, closed=closed, closed_when="open")


def test_weeks_hold_what_their_days_held():
    days = books()
    weeks = weekly(days, how={"promo": SUM, "number": LAST, "open": MOST})
    assert weeks.frequency.date(weeks.first) == date(2024, 1, 8)  # the first whole week
    assert weeks.sold.shape == (6, 7)
    np.testing.assert_array_equal(weeks.sold[3, 1], days.sold[3, 12:19].sum())
    np.testing.assert_array_equal(weeks.demand, weeks.sold + 7)
    np.testing.assert_array_equal(weeks.truth, weeks.sold)  # what is shut sells nothing
    np.testing.assert_array_equal(weeks.known["promo"][2, 0], days.known["promo"][2, 5:12].sum())
    assert weeks.known["number"].tolist() == [11, 18, 25, 32, 39, 46, 53]
    assert weeks.known["day"].codes.tolist() == [1] * 7
    assert not weeks.closed.any()


@pytest.mark.parametrize("anchor", range(7))
def test_a_week_may_begin_on_any_day(anchor):
    weeks = weekly(books(), how={}, anchor=anchor)
    first = weeks.frequency.date(weeks.first)
    assert first.weekday() == anchor
    start = first.toordinal() - EPOCH - books().first
    assert 0 <= start < 7
    np.testing.assert_array_equal(weeks.sold[0, 0], books().sold[0, start:start + 7].sum())


def test_a_month_needs_all_its_days():
    months = monthly(books(days=59), how={"promo": MEAN})  # 3 January to 1 March
    assert months.frequency.date(months.first) == date(2024, 2, 1)
    assert months.sold.shape == (6, 1)
    np.testing.assert_allclose(months.sold[:, 0], books(days=59).sold[:, 29:58].sum(axis=1))


def test_sums_over_places_and_items_keep_every_unit():
    days = books()
    items, kinds = over_places(days), over_items(days, np.array([0, 1, 0]), ("a", "b"))
    shown = np.where(days.row, days.sold, 0.0)
    np.testing.assert_allclose(np.nansum(items.sold, axis=0), days.sold.sum(axis=0))
    np.testing.assert_allclose(kinds.sold[0], days.sold[0] + days.sold[4])  # kind a at the first place
    np.testing.assert_allclose(np.nansum(kinds.truth, axis=0)[1:], shown.sum(axis=0)[1:])
    assert items.places == (ALL,) and kinds.items == ("a", "b")
    assert kinds.known["promo"].max() <= 1.0
    for view in (items, kinds):
        panel, truth, first = panel_of(view)
        assert truth.shape == panel.dense().sales.shape and first == panel.dense().first


def test_books_become_a_panel_with_the_truth_in_its_order():
    days = books()
    panel, truth, first = panel_of(days)
    dense = panel.dense()
    assert len(panel) == 6 and first == days.first and panel.cutoff == days.first + 59
    np.testing.assert_array_equal(dense.sales, np.where(days.row, days.sold, np.nan))
    np.testing.assert_array_equal(truth, days.truth)
    np.testing.assert_array_equal(dense.known["promo"][days.row], days.known["promo"][days.row])
    np.testing.assert_array_equal(dense.known["open"][5], days.known["open"][1])
    np.testing.assert_array_equal(dense.past["stock"][days.row], days.past["stock"][days.row])
    np.testing.assert_array_equal(dense.known["number"][0], np.arange(60))
    assert panel.categories["day"] == ["none", "odd"]
    assert panel.items["kind"].to_list() == ["a", "b", "a"]
    fewer, *_ = panel_of(without_covariates(days, {"open", "promo", "kind"}))
    assert set(fewer.covariates) == {"day", "number", "stock"} and fewer.closed_when is None


def test_series_that_never_had_a_row_are_left_out():
    days = books()
    row = days.row.copy()
    row[2], row[:, :5] = False, False
    panel, truth, first = panel_of(Ledger(**{**vars(days), "row": row}))
    assert len(panel) == 5 and truth.shape == (5, 55) and first == days.first + 5
    np.testing.assert_array_equal(truth[2], days.truth[3, 5:])
    np.testing.assert_array_equal(panel.dense().known["promo"][2], days.known["promo"][3, 5:])


def test_feasts_fall_on_their_dates():
    days = {f.name: f.day for f in POOL}
    assert days["Easter"](2024) == date(2024, 3, 31)
    assert days["Thanksgiving"](2023) == date(2023, 11, 23)
    assert days["Black Friday"](2023) == date(2023, 11, 24)
    assert days["Memorial Day"](2024) == date(2024, 5, 27)
    assert days["Labor Day"](2024) == date(2024, 9, 2)
    assert abs(days["Fasting Month"](2016) - date(2016, 6, 6)) <= timedelta(1)  # the moon decides


def test_a_feast_is_felt_before_it_and_leaves_a_hole():
    at = 40
    feasts = Feasts(("Feast", "Shut"), np.array([False, True]), (np.array([MONDAY + at]),) * 2, np.array([3.0, 3.0]), np.ones(2),
                    MONDAY, 80)
    felt = feasts.felt(after=0.3, relief=5.0)
    assert felt[0].argmax() == at and felt[0, at] == pytest.approx(1.0)
    assert felt[0, at - 3] == pytest.approx(np.exp(-1.0))
    assert felt[0, at + 1] == pytest.approx(-0.3)
    assert felt[1].argmax() == at - 1  # nobody can buy on the day itself
    assert feasts.on()[at] == 1 and (feasts.on() >= 0).sum() == 1


def test_what_returns_does_so_a_year_later():
    rng = np.random.default_rng(2)
    course = returning(rng, MONDAY, 3000, 3, period=365.2425, size=0.1)
    peaks = own_peaks(rng, year_angle(MONDAY, 3000), 20, share=0.5)
    four_years = 1461  # four times 365.2425 days, to within an hour
    assert np.mean(np.isclose(course[:, four_years:], course[:, :-four_years])) > 0.9
    np.testing.assert_allclose(peaks[:, four_years:], peaks[:, :-four_years], atol=0.02)
    assert peaks.max() > 0.2


def test_noise_with_memory_has_unit_variance_and_its_persistence():
    noise = memory(np.random.default_rng(3), (400, 300), 0.8)
    assert noise.var() == pytest.approx(1.0, abs=0.05)
    assert (noise[:, 1:] * noise[:, :-1]).mean() == pytest.approx(0.8, abs=0.05)


def test_promotions_come_in_whole_weeks():
    for seed in range(8):
        active, since = promotion_weeks(np.random.default_rng(seed), MONDAY, 280)
        by_week = active.reshape(40, 7)
        lengths = by_week.sum(axis=1)
        assert len(set(lengths[lengths > 0])) == 1  # always as many days
        assert by_week[lengths > 0][:, 0].all() and (since[active] == np.tile(np.arange(7), 40)[active]).all()


def test_school_is_out_at_much_the_same_time_each_year():
    off = school_holidays(np.random.default_rng(5), MONDAY, 1461, 4)
    assert 0.03 < off.mean() < 0.35
    per_day = off[:, :1460].reshape(4, 4, 365).mean(axis=1)
    assert (per_day > 0.7).mean() > 0.5 * off.mean()


def test_items_are_launched_grow_and_go_and_some_come_back():
    share = life_courses(np.random.default_rng(4), 2000, 150, per_year=52.0, new=0.6, gone=0.6, back=0.9)
    alive = share > 0
    assert 0.02 < (~alive[:, 0]).mean() < 0.65  # launched later
    begins = (np.diff(alive.astype(int), axis=1) == 1).sum(axis=1)
    assert (begins + alive[:, 0]).max() == 2  # launched again
    assert share.min() == 0.0 and share.max() <= 2.5


def test_buyers_order_whole_cases_and_no_more_than_is_drunk():
    dice = Dice(next(s for s in range(50) if Dice(s).on("ordering", 0.8)), without=("outliers", "returns", "gaps"))
    sold = draw_liquor(dice).sold
    cases = np.array([np.gcd.reduce(s[s > 0].astype(int)) if (s > 0).any() else 1 for s in sold])
    assert np.array_equal(sold, np.rint(sold)) and (cases > 1).mean() > 0.2


def test_a_change_of_unit_moves_sales_and_truth_alike():
    dice = Dice(next(s for s in range(500) if Dice(s).on("unit_changes", 0.03) and not Dice(s).on("gaps_as_zeros", 0.06)))
    days = books(days=400)
    changed = with_mishaps(days, dice)
    assert dice.mechanisms == ("unit_changes",)
    np.testing.assert_allclose(changed.truth, np.where(np.isnan(days.truth), np.nan, changed.sold))
    assert not np.array_equal(changed.sold, days.sold)


def test_days_that_nobody_reported_are_written_as_zero_and_are_no_truth():
    dice = Dice(next(s for s in range(500) if Dice(s).on("gaps_as_zeros", 0.06) and not Dice(s).on("unit_changes", 0.03)))
    days = books(days=3000)
    changed = with_mishaps(days, dice)
    lost = np.isnan(changed.truth) & np.isfinite(days.truth)
    assert lost.any() and (changed.sold[lost] == 0).all()
    np.testing.assert_array_equal(changed.sold[~lost], days.sold[~lost])


def test_the_first_day_of_a_drawn_week_lies_within_a_week_of_its_date():
    for seed in range(20):
        number, first, anchor = draw_week(np.random.default_rng(seed), 100)
        shown = Frequency("W", anchor).date(number)
        assert date(1970, 1, 1) + timedelta(first) in (shown, shown - timedelta(6))
