"""What a pretrained network is shown of a panel."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from shelfcast.data.split import cut
from shelfcast.models.in_context import InContext, undo_sold_out
from shelfcast.nn.batch import ABOVE_CHANNEL, BELOW_CHANNEL, MIDDLE_CHANNEL
from shelfcast.nn.universal import CHANNELS
from shelfcast.nn.windows import batch_of, shelves_of
from shelfcast.panel import CovariateTable, SalesPanel
from shelfcast.periods import Frequency
from shelfcast.world.prior import draw_world

DAYS = [date(2024, 1, 1) + timedelta(k) for k in range(5)]


def told(panel: SalesPanel, horizon: int = 8) -> np.ndarray:
    """What the network reads of a panel."""
    seen = InContext.of(panel, context=64, horizon=horizon)
    around = seen.around(panel, horizon=horizon)
    who = around.who(panel.series)
    block = around.block_of(panel, context=around.scheme.rhythm.context, horizon=horizon)
    view = around.look(block, who, origin=around.scheme.rhythm.context - 1)
    shelf = shelves_of(who.run, who.rank, most=len(panel), most_places=around.most_places)[0]
    return np.asarray(batch_of(view, shelf.groups, who.place, links=around.links).x)


def test_a_shelf_that_was_half_empty_tells_what_a_full_one_would_have_sold() -> None:
    frame = pl.DataFrame({"item": "a", "location": "x", "date": DAYS, "sales": [10.0, 6.0, 0.0, 1.0, 9.0],
                          "available": [1.0, 0.5, 0.0, 0.1, 0.97]})
    panel = SalesPanel.from_frame(frame, freq="D", past=["available"])
    assert undo_sold_out(panel).rows["sales"].to_list() == [10.0, 12.0, None, None, 9.0]


def test_what_was_undone_is_not_undone_again() -> None:
    frame = pl.DataFrame({"item": "a", "location": "x", "date": DAYS, "sales": [10.0, 6.0, 0.0, 1.0, 9.0],
                          "available": [1.0, 0.5, 0.0, 0.1, 0.97]})
    once = undo_sold_out(SalesPanel.from_frame(frame, freq="D", past=["available"]))
    assert once.holds == "demand"
    assert undo_sold_out(once) is once


def test_a_record_of_availability_in_a_file_of_its_own_counts_as_well() -> None:
    frame = pl.DataFrame({"item": "a", "location": "x", "date": DAYS, "sales": [10.0, 6.0, 0.0, 1.0, 9.0]})
    apart = pl.DataFrame({"item": "a", "period": [Frequency.parse("D").number(d) for d in DAYS],
                          "available": [1.0, 0.5, 0.0, 0.1, 0.97]})
    panel = SalesPanel.from_frame(frame, freq="D")
    told = replace(panel, covariates={"available": "past"}, tables=(CovariateTable(apart),))
    assert undo_sold_out(told).rows["sales"].to_list() == [10.0, 12.0, None, None, 9.0]
    sparse = replace(told, rows=told.rows.filter(pl.col("sales") > 0), absent="zero")
    seen = undo_sold_out(sparse).dense().sales[0]
    np.testing.assert_array_equal(seen, [10.0, 12.0, np.nan, np.nan, 9.0])


def test_without_such_a_record_sales_stay_what_they_are() -> None:
    frame = pl.DataFrame({"item": "a", "location": "x", "date": DAYS, "sales": [10.0, 6.0, 0.0, 1.0, 9.0]})
    panel = SalesPanel.from_frame(frame, freq="D")
    assert undo_sold_out(panel) is panel


def test_nothing_that_is_told_depends_on_the_future() -> None:
    """Sales of the last periods are in the panel when its past is read, but not when a window before them is looked at."""
    world = draw_world(40, regime="brands")
    cutoff = world.panel.cutoff - 8
    past = cut(world.panel, cutoff)
    seen = InContext.of(past, context=64, horizon=8)
    looks = []
    for panel in (world.panel, replace(world.panel, rows=world.panel.rows.with_columns(
            pl.when(pl.col("period") > cutoff).then(pl.col("sales") * 7 + 3).otherwise(pl.col("sales")).alias("sales")))):
        around = seen.around(past, horizon=8)
        who, reach = around.who(past.series), around.scheme.rhythm.context
        rows = [k for k, s in enumerate(panel.series["start"]) if s <= cutoff]
        block = around.block_of(panel.select(rows), context=reach + 8, horizon=0)
        looks.append(around.look(block, who, origin=reach - 1))
    np.testing.assert_array_equal(looks[0].x, looks[1].x)
    assert not np.array_equal(looks[0].truth, looks[1].truth, equal_nan=True), "the future did change"


def test_past_errors_are_told_over_the_horizon_in_order_and_not_before() -> None:
    world = draw_world(41, regime="monthly")
    x = told(cut(world.panel, world.panel.cutoff - 8))
    below, middle, above = (x[:, :, -8:, k] for k in (BELOW_CHANNEL, MIDDLE_CHANNEL, ABOVE_CHANNEL))
    assert (below <= middle).all()
    assert (middle <= above).all()
    assert (above > below).mean() > 0.99
    assert not x[:, :, :-8, [BELOW_CHANNEL, MIDDLE_CHANNEL, ABOVE_CHANNEL]].any()


def test_panels_with_other_covariates_are_told_in_as_many_channels() -> None:
    worlds = [draw_world(s, regime=r) for s, r in ((42, "stores"), (43, "liquor"), (44, "fast"))]
    assert {told(cut(w.panel, w.panel.cutoff - 8)).shape[-1] for w in worlds} == {CHANNELS}
