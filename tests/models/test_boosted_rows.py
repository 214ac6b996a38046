"""Which rows are learned from: every step ahead, and the past run backwards."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from shelfcast.models.boosted_rows import Sample, draw_sample, draws, stands
from shelfcast.panel import SalesPanel


def sample(*, weeks: int = 130, series: int = 60) -> Sample:
    rng = np.random.default_rng(0)
    when = [date(2021, 1, 4) + timedelta(weeks=t) for t in range(weeks)]
    parts = [pl.DataFrame({"item": f"i{i}", "location": f"s{i % 3}", "date": when, "sales": rng.poisson(50.0, weeks).astype(float)})
             for i in range(series)]
    panel = SalesPanel.from_frame(pl.concat(parts), freq="W")
    return draw_sample(panel, horizon=26, most_series=100, seed=0, country=None)


def test_parts_of_an_origins_series_look_at_different_steps():
    drawn = draws(sample(), most_rows=20_000, seed=0)
    parts = {origin: [d.steps for d in drawn if d.origin == origin] for origin in {d.origin for d in drawn}}
    several = {origin: steps for origin, steps in parts.items() if len(steps) > 1}
    assert several
    for origin, steps in several.items():
        assert len(np.unique(np.concatenate(steps))) == min(sum(map(len, steps)), 26, 129 - origin)


def test_no_series_is_drawn_twice_at_an_origin():
    by_origin: dict[int, list[int]] = {}
    for draw in draws(sample(), most_rows=10_000, seed=0):
        by_origin.setdefault(draw.origin, []).extend(draw.series.tolist())
    assert all(len(set(chosen)) == len(chosen) for chosen in by_origin.values())


def test_no_draw_looks_beyond_the_cutoff():
    assert all(draw.origin + draw.steps.max() < 130 for draw in draws(sample(), most_rows=10_000, seed=0))


def test_run_backwards_twice_the_sales_and_the_index_are_as_they_were():
    there = sample()
    back = there.mirror()
    assert np.array_equal(back.block.sales[:, ::-1], there.block.sales[:, -back.block.sales.shape[1]:])
    assert np.array_equal(back.pooled.index[::-1], there.pooled.index, equal_nan=True)


def test_run_backwards_a_rise_is_a_fall():
    rng = np.random.default_rng(1)
    when = [date(2021, 1, 4) + timedelta(weeks=t) for t in range(130)]
    rising = np.linspace(1, 3, 130)
    parts = [pl.DataFrame({"item": f"i{i}", "location": "x", "date": when, "sales": rng.poisson(100 * rising).astype(float)})
             for i in range(30)]
    there = draw_sample(SalesPanel.from_frame(pl.concat(parts), freq="W"), horizon=13, most_series=100, seed=0, country=None)
    change = {}
    for name, one in (("forwards", there), ("backwards", there.mirror())):
        shift = [np.log(s.truth / s.standing.levels.long[:, None])[s.usable & s.knows].mean()
                 for s in stands(one, draws(one, most_rows=5_000, seed=0)) if (s.usable & s.knows).any()]
        change[name] = float(np.mean(shift))
    assert change["forwards"] > 0.05 and change["backwards"] < -0.05
