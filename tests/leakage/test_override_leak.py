"""A replay of the past uses no override that was written after its cutoff."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from adjust.override_cases import CUTOFF, one, overrides, small
from broken.builders import FIRST, sales_csv, sound
from shelfcast import workflow
from shelfcast.adjust.override import apply_as_known
from shelfcast.settings import BacktestSettings

END_OF_CUTOFF = datetime(CUTOFF.year, CUTOFF.month, CUTOFF.day) + timedelta(days=1)


def rows(first: datetime, last: datetime):
    return st.lists(st.builds(
        one, st.sampled_from(["value", "factor", "add", "lock"]), st.floats(0, 9), item=st.sampled_from([None, "apple", "bread"]),
        location=st.sampled_from([None, "north"]), last=st.sampled_from([CUTOFF + timedelta(days=k) for k in (1, 2, 3)]),
        when=st.datetimes(first, last)), max_size=4)


@settings(max_examples=15, deadline=None)
@given(early=rows(datetime(2024, 1, 1), END_OF_CUTOFF - timedelta(microseconds=1)), late=rows(END_OF_CUTOFF, datetime(2025, 1, 1)))
def test_what_is_written_after_the_cutoff_changes_nothing(early, late):
    early = [one("factor", 2, item="candle"), *early]
    without, with_late = apply_as_known(small(), overrides(*early)), apply_as_known(small(), overrides(*early, *late))
    assert np.array_equal(without.forecast.quantiles, with_late.forecast.quantiles)
    assert np.array_equal(without.forecast.mean, with_late.forecast.mean) and without.ledger.equals(with_late.ledger)


def backtest(folder: Path, name: str, *given_rows) -> tuple[pl.DataFrame, Path]:
    ask = BacktestSettings(sales=sales_csv(folder), horizon=5, windows=2, models=("naive",), overrides=overrides(*given_rows).table,
                           run=folder / name)
    return workflow.backtest(ask).scores, ask.run


def test_a_backtest_is_blind_for_overrides_written_within_its_windows(tmp_path):
    # Sales of 60 days from FIRST: the windows are the days 50 to 54 and 55 to 59.
    def day(k, hour=0):
        return datetime(FIRST.year, FIRST.month, FIRST.day, hour) + timedelta(days=k)

    def row(k, written, **more):
        return one("value", 50, item="item0", first=day(k).date(), when=written, **more)

    known = [row(51, day(49, 23), id="in time"), row(57, day(52), id="for the second window")]
    late = [row(51, day(50), id="on the first day of the window"), row(56, day(58), id="afterwards")]
    honest, run = backtest(tmp_path, "honest", *known)
    tempted, other = backtest(tmp_path, "tempted", *known, *late)
    assert_frame_equal(honest, tempted)
    assert pl.read_parquet(run / "ledger.parquet")["override"].unique().sort().to_list() == ["for the second window", "in time"]
    assert pl.read_parquet(other / "ledger.parquet").equals(pl.read_parquet(run / "ledger.parquet"))


def test_a_backtest_with_late_overrides_alone_says_so_and_scores_the_models_only(tmp_path):
    said: list[str] = []
    last = FIRST + timedelta(days=59)
    ask = BacktestSettings(sales=sales_csv(tmp_path, sound()), horizon=5, windows=1, models=("naive",), run=tmp_path / "run",
                           overrides=overrides(one("value", 9, first=last, when=datetime(2025, 1, 1))).table)
    result = workflow.backtest(ask, say=said.append)
    assert result.scores["model"].unique().to_list() == ["naive"] and result.summary["overrides"] == {}
    assert "No override had been written before a window and stood in it, so there is nothing to compare." in said
    assert pl.read_csv(ask.run / "value_added.csv").height == 0
