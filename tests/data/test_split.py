"""The cut in time: what is later is gone, but for known covariates; windows keep their truth apart."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.data.split import cut, window_cutoffs, windows
from shelfcast.errors import DataError, SettingsError
from shelfcast.panel import CovariateTable, SalesPanel

MONDAY = date(2024, 1, 1)


def chain(*, days: int = 12, starts: tuple[int, ...] = (0, 3, 8), future: float = 1.0, after: int = 99,
          absent: str = "missing") -> SalesPanel:
    """Series that begin on different days; what lies after day `after` and is no known covariate is times `future`."""
    rows = [{"item": f"item {i}", "date": MONDAY + timedelta(days=d), "sales": (10.0 * i + d) * (future if d > after else 1),
             "promo": float(d % 3 == 0), "visits": float(d * (future if d > after else 1))}
            for i, start in enumerate(starts) for d in range(start, days) if (i, d) != (1, 9)]
    panel = SalesPanel.from_frame(pl.DataFrame(rows), freq="D", known=["promo"], past=["visits"], absent=absent)
    first = panel.dense().first
    weather = pl.DataFrame({"period": range(first, first + days),
                            "rain": [float(d * (future if d > after else 1)) for d in range(days)]})
    event = pl.DataFrame({"period": range(first, first + days + 3), "event": [d % 2 for d in range(days + 3)]})
    tables = tuple(CovariateTable(t.with_columns(pl.col("period").cast(pl.Int32))) for t in (weather, event))
    return replace(panel, tables=tables, covariates={**panel.covariates, "rain": "past", "event": "known"})


@settings(max_examples=30, deadline=None)
@given(after=st.integers(0, 11), future=st.sampled_from([0.0, -5.0, 1e6]))
def test_whatever_happens_later_a_cut_panel_is_the_same(after, future):
    cuts = [cut(chain(future=f, after=after), MONDAY + timedelta(days=after)) for f in (1.0, future)]
    assert cuts[0].fingerprint() == cuts[1].fingerprint()


def test_known_covariates_stay_and_past_ones_end_at_the_cutoff():
    past = cut(chain(), MONDAY + timedelta(days=5))
    dense = past.dense(horizon=6)
    assert dense.sales.shape == (2, 6) and dense.known["promo"].shape == (2, 12)
    np.testing.assert_array_equal(dense.known["promo"][0], np.arange(12) % 3 == 0)
    np.testing.assert_array_equal(dense.known["event"][0], np.arange(12) % 2)
    assert past.tables[0].frame["rain"].max() == 5


def test_series_that_begin_later_are_left_out():
    assert cut(chain(), MONDAY + timedelta(days=2)).series["item"].to_list() == ["item 0"]
    with pytest.raises(DataError, match="no history up to 2023-12-31: the first sales are of 2024-01-01"):
        cut(chain(), date(2023, 12, 31))


@pytest.mark.parametrize("cutoff", ["2024-01-06", date(2024, 1, 6), 19728])
def test_a_cutoff_is_a_day_in_words_a_date_or_a_period_number(cutoff):
    assert cut(chain(), cutoff).cutoff == 19728


def test_cutting_twice_is_cutting_once():
    once = cut(chain(), MONDAY + timedelta(days=5))
    assert cut(once, once.cutoff).fingerprint() == once.fingerprint()
    assert cut(cut(chain(), MONDAY + timedelta(days=8)), once.cutoff).fingerprint() == once.fingerprint()


def test_windows_follow_each_other_up_to_the_end_of_history():
    panel = chain()
    found = list(windows(panel, horizon=3, count=2))
    assert [w.past.cutoff for w in found] == [panel.cutoff - 6, panel.cutoff - 3]
    np.testing.assert_array_equal(found[0].truth(), [[6, 7, 8], [16, 17, 18]])
    np.testing.assert_array_equal(found[1].truth(), [[9, 10, 11], [np.nan, 20, 21], [29, 30, 31]])


@pytest.mark.parametrize("own_ends", [False, True])
@pytest.mark.parametrize("step", [None, 1, 3])
def test_cutoffs_are_known_before_anything_is_cut(step, own_ends):
    found = [w.past.cutoff for w in windows(chain(), horizon=2, count=3, step=step, own_ends=own_ends)]
    assert found == window_cutoffs(chain(), horizon=2, count=3, step=step, own_ends=own_ends)
    assert np.diff(found).tolist() == [step or 2] * 2


def test_windows_that_overlap_have_the_truth_of_their_own_periods():
    one, two = windows(chain(), horizon=3, count=2, step=1)
    np.testing.assert_array_equal(one.truth()[0, 1:], two.truth()[0, :2])


def test_windows_lie_at_least_one_period_apart():
    with pytest.raises(SettingsError, match="at least 1 period apart; the step is 0"):
        next(windows(chain(), horizon=3, step=0))


def test_a_period_without_a_row_is_in_truth_what_the_panel_says_it_is():
    (window,) = windows(chain(absent="zero"), horizon=3)
    np.testing.assert_array_equal(window.truth()[1], [0, 20, 21])


def test_a_part_of_a_window_has_the_truth_of_its_series():
    (window,) = windows(chain(), horizon=3)
    part = window.select([0, 2])
    np.testing.assert_array_equal(part.truth(), window.truth()[[0, 2]])
    assert part.past.series["item"].to_list() == ["item 0", "item 2"]


def test_gaps_of_a_window_are_gaps_in_its_covariates_not_rows_that_were_forgotten():
    (window,) = windows(chain(), horizon=3)
    assert window.past.given("promo", 3).all()
    np.testing.assert_array_equal(window.past.dense(horizon=3).known["promo"][1, -3:], [np.nan, 0, 0])


@pytest.mark.parametrize(("horizon", "count", "words"), [(0, 1, "at least 1"), (3, 0, "at least 1"), (6, 2, "more than 12 periods"),
                                                         (12, 1, "there are 12")])
def test_windows_need_history_before_them(horizon, count, words):
    with pytest.raises(SettingsError, match=words):
        list(windows(chain(), horizon=horizon, count=count))
