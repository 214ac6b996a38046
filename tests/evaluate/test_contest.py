"""What may be compared: the same series, windows and truths, in one order."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.errors import UnknownNameError
from shelfcast.evaluate.contest import LOSSES, contest_of, measure_named, named_windows


def losses(models=("a", "b"), windows: int = 2, series: int = 3, *, hours: bool = False) -> pl.DataFrame:
    """Losses that tell where they stand: model, window and series as digits."""
    rows = []
    for m, model in enumerate(models):
        for w in range(windows):
            cutoff = datetime(2024, 5, 12, 6 * w) if hours else date(2024, 5, 12) + timedelta(days=w)
            for n in reversed(range(series)):
                value = 100.0 * m + 10 * w + n
                rows.append({"window": w, "cutoff": cutoff, "model": model, "item": f"i{n}", "location": "x",
                             "class": "lumpy" if (w, n) == (0, 1) else "smooth", "cells": 4, "actual": 8.0,
                             "scale": float("nan") if n == 2 else 2.0, **dict.fromkeys(LOSSES, value)})
    return pl.DataFrame(rows)


def test_losses_stand_where_their_model_window_and_series_say():
    found = contest_of(named_windows(losses()), ["b", "a"])
    assert found.series["item"].to_list() == ["i0", "i1", "i2"]
    assert found.losses["absolute"][:, 1, 2].tolist() == [112.0, 12.0]
    assert found.windows == ("2024-05-12", "2024-05-13")


def test_a_series_without_a_scale_has_no_say_in_scaled_measures_alone():
    found = contest_of(named_windows(losses()), ["a", "b"])
    assert found.denominator(measure_named("SQL"))[0].tolist() == [4.0, 4.0, 0.0]
    assert found.numerator(measure_named("SQL"))[0, 0].tolist() == [0.0, 1.0, 0.0]
    assert found.denominator(measure_named("WAPE"))[0].tolist() == [8.0, 8.0, 8.0]


def test_the_class_is_that_of_each_window_and_a_series_goes_by_its_last():
    found = contest_of(named_windows(losses()), ["a", "b"])
    names = np.array(found.class_names)[found.classes]
    assert names[:, 1].tolist() == ["lumpy", "smooth"]
    assert found.series["class"].to_list() == ["smooth"] * 3


def test_a_series_that_began_later_is_absent_from_the_earlier_window():
    table = losses().filter(~((pl.col("window") == 0) & (pl.col("item") == "i1")))
    found = contest_of(named_windows(table), ["a", "b"])
    assert found.cells[:, 1].tolist() == [0.0, 4.0]
    assert found.told == ()


def test_windows_of_hours_are_told_apart_within_a_day():
    assert contest_of(named_windows(losses(hours=True)), ["a", "b"]).windows == ("2024-05-12T00", "2024-05-12T06")


def test_clusters_number_items_and_places():
    found = contest_of(named_windows(losses()), ["a", "b"])
    assert found.clusters("series") is None
    assert found.clusters("item").tolist() == [0, 1, 2]
    assert found.clusters("location").tolist() == [0, 0, 0]


def test_rmsse_is_the_mean_over_series_of_each_ones_root():
    table = losses(windows=1).with_columns(pl.when(pl.col("item") == "i1").then(None).otherwise(4.0).alias("square_scale"))
    found, rmsse = contest_of(named_windows(table), ["a", "b"]), measure_named("RMSSE")
    assert found.denominator(rmsse)[0].tolist() == [1.0, 0.0, 1.0]  # nobody knows the scale of i1
    # squares 100 and 102 over 4 periods, in units of 4
    np.testing.assert_allclose(found.numerator(rmsse)[1, 0], [np.sqrt(100 / 16), 0.0, np.sqrt(102 / 16)])


def test_runs_that_kept_no_squared_scale_have_no_rmsse():
    assert not contest_of(named_windows(losses()), ["a", "b"]).denominator(measure_named("RMSSE")).any()


def test_measures_are_known_by_name_whatever_the_case():
    assert measure_named("wape").name == "WAPE"
    with pytest.raises(UnknownNameError, match="SQL"):
        measure_named("nonsense")
