"""A block of arrays, and the same with time running backwards."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from shelfcast.features.block import Block, make_block
from shelfcast.features.scheme import Scheme
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency

DAY = Frequency.parse("D")
SCHEME = Scheme("D", 5, flags=("promo",), numbers=("price",))


def block(*, days: int = 800, ahead: int = 5) -> Block:
    """Two series whose sales count the days; a promotion on every tenth."""
    when = [date(2022, 1, 1) + timedelta(days=t) for t in range(days + ahead)]
    parts = [pl.DataFrame({"item": name, "location": "x", "date": when, "promo": [float(t % 10 == 0) for t in range(days + ahead)],
                           "price": np.linspace(1, 2, days + ahead),
                           "sales": [float(t + 1) if t < days else None for t in range(days + ahead)]}) for name in "ab"]
    panel = SalesPanel.from_frame(pl.concat(parts), freq="D", known=["promo", "price"], cutoff=when[days - 1])
    return make_block(panel, SCHEME, context=days, horizon=ahead)


def test_run_backwards_the_latest_day_comes_first_and_the_future_is_not_there():
    there, back = block(), block().mirror(300)
    assert back.sales.shape == (2, 300) and back.known["promo"].shape == (2, 300)
    assert np.array_equal(back.sales[0], there.sales[0, 799:499:-1])
    assert np.array_equal(back.known["price"][0], there.known["price"][0, 799:499:-1])


def test_run_backwards_a_column_still_is_its_own_day():
    there, back = block(), block().mirror(300)
    columns = np.array([0, 1, 299])
    assert np.array_equal(back.periods(columns), there.periods(799 - columns))


def test_run_backwards_a_year_ago_is_the_year_after():
    there, back = block(), block().mirror(800)
    columns = np.arange(400, 700)
    ahead = back.year_ago(DAY, columns)  # columns of later days
    assert (ahead < columns).all()
    back_again = there.year_ago(DAY, 799 - ahead) == 799 - columns
    assert back_again.mean() > 0.85  # but where the stretch around a moving feast begins or ends


def test_run_backwards_the_last_promotion_is_the_one_that_comes_next():
    there, back = block(), block().mirror(800)
    column = 403
    promoted = np.flatnonzero(back.known["promo"][0] == 1)
    assert back.last_on["promo"][0, column] == promoted[promoted <= column].max()
    assert back.next_on["promo"][0, column] == promoted[promoted >= column].min()
    assert there.known["promo"][0, 799 - back.last_on["promo"][0, column]] == 1


def test_run_backwards_what_follows_a_promotion_still_follows_it():
    there, back = block(), block().mirror(800)
    forwards, backwards = np.arange(300, 320), 799 - np.arange(300, 320)
    for both in ([one.distances("promo", at, limit=800, most=60) for one, at in ((there, forwards), (back, backwards))],
                 [one.beside(one.known["promo"], at, limit=800) for one, at in ((there, forwards), (back, backwards))]):
        assert np.array_equal(both[0], both[1])


def test_what_comes_later_than_the_horizon_is_not_known():
    there = block()
    before, after = there.beside(there.known["price"], np.array([401, 405]), limit=405)
    assert np.isfinite(before).all() and np.isfinite(after[:, 0]).all() and np.isnan(after[:, 1]).all()
    _, until = there.distances("promo", np.array([402, 403]), limit=409, most=60)
    assert until.tolist() == [[60, 60], [60, 60]]  # the next one is on day 410


def test_some_series_keep_which_way_time_runs():
    back = block().mirror(300).take(np.array([1]))
    assert back.mirrored and back.sales.shape == (1, 300)
