"""A backtest of the past does not move when what came after its windows changes, whatever the way in which it is cut."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.data.split import windows
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.replay import still_sold
from shelfcast.models.registry import make_model
from shelfcast.panel import SalesPanel

DAYS, HORIZON = 400, 7
LEVELS = tuple(k / 10 for k in range(1, 10))


def shop(*, later: float = 1.0, after: int = DAYS, silent: int = DAYS) -> SalesPanel:
    """Six series of 400 days; sales and visits after day `after` are multiplied by `later`; the first sells nothing from day
    `silent` on."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(6):
        sold = rng.poisson(4 + 2 * i, DAYS).astype(float)
        sold *= np.where(np.arange(DAYS) > after, later, 1.0) * (np.arange(DAYS) < silent if i == 0 else 1)
        rows.append(pl.DataFrame({"item": f"item {i}", "date": [date(2023, 1, 1) + timedelta(days=d) for d in range(DAYS)],
                                  "sales": sold, "visits": sold * 2}))
    return SalesPanel.from_frame(pl.concat(rows), freq="D", past=["visits"])


@pytest.mark.parametrize("own_ends", [False, True])
@pytest.mark.parametrize("step", [HORIZON, 3])
def test_scores_of_a_window_do_not_move_when_what_comes_after_it_changes(step, own_ends):
    last = DAYS - 1 - step  # the last day of the older window
    one, two = (next(windows(shop(later=f, after=last), horizon=HORIZON, count=2, step=step, own_ends=own_ends))
                for f in (1.0, 30.0))
    assert one.past.fingerprint() == two.past.fingerprint()
    found = [measure(w, make_model("naive").fit(w.past), levels=LEVELS) for w in (one, two)]
    assert found[0].scores.equals(found[1].scores) and found[0].losses.equals(found[1].losses)


def test_whether_a_series_was_withdrawn_is_judged_by_what_was_known_then():
    """Silent for the last 210 days, a series is withdrawn today; 200 days earlier nobody could know."""
    panel = shop(silent=DAYS - 210)
    old, new = windows(panel, horizon=HORIZON, count=2, step=200)
    assert "item 0" in still_sold(old).past.series["item"].to_list()
    assert "item 0" not in still_sold(new).past.series["item"].to_list()
    again = still_sold(next(windows(shop(), horizon=HORIZON, count=2, step=200)))
    assert again.past.series.equals(still_sold(old).past.series)
