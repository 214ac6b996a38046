"""What is pooled over items and places."""

import numpy as np
import polars as pl
import pytest

from shelfcast.features.history import Rhythm
from shelfcast.features.pooled import Piece, Pooled, group_codes, group_keys, pool
from shelfcast.periods import Frequency

RHYTHM = Rhythm.of(Frequency.parse("D"))
SERIES = pl.DataFrame({"item": ["a", "a", "b", "b"], "location": [1, 2, 1, 2]})


def pooled(sales: np.ndarray, *, at_once: int = 4) -> Pooled:
    return pooled_of(sales, SERIES, at_once=at_once)


def pooled_of(sales: np.ndarray, series: pl.DataFrame | None = None, *, at_once: int = 4) -> Pooled:
    if series is None:
        series = pl.DataFrame({"item": [f"i{n}" for n in range(len(sales))], "location": "here"})
    keys = group_keys(series)
    cells = np.broadcast_to((np.arange(sales.shape[1]) % 7).astype(np.int64), sales.shape)

    def pieces():
        for start in range(0, len(sales), at_once):
            part = slice(start, start + at_once)
            yield Piece(sales[part], cells[part], group_codes(series[part], keys), np.zeros_like(sales[part]))

    return pool(pieces, keys, RHYTHM, size=7, first=0, width=sales.shape[1])


def chain() -> np.ndarray:
    rng = np.random.default_rng(1)
    level = np.array([10.0, 20.0, 40.0, 80.0])[:, None]
    return rng.poisson(level * np.where(np.arange(210) % 7 == 5, 2.0, 1.0)).astype(float)


def test_the_usual_level_of_a_new_series_is_its_items_times_its_places():
    found = pooled(chain())
    expected = found.prior_level(np.array([0, 1]), np.array([0, 1]))
    assert expected[0] < found.level < expected[1]


def test_pooling_in_pieces_gives_what_pooling_at_once_gives():
    one, many = pooled(chain()), pooled(chain(), at_once=1)
    assert np.allclose(one.index, many.index) and np.allclose(one.group_effects["item"], many.group_effects["item"])


def test_the_saturday_of_all_series_is_double():
    effects = pooled(chain()).effects
    assert np.isclose(effects[5] / effects[:5].mean(), 2.0, rtol=0.05)


def test_an_unseen_item_gets_what_all_series_share(tmp_path):
    found = pooled(chain())
    codes = group_codes(pl.DataFrame({"item": ["never"], "location": [2]}), found.keys)
    assert codes["item"].tolist() == [2] and codes["location"].tolist() == [1]
    assert np.allclose(found.group_effects["item"][2], found.effects)


@pytest.mark.parametrize("days", [1, 3, 6])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_weekdays_that_nobody_has_seen_yet_are_days_like_any_other(days, spread):
    found = pooled(10 + spread * np.random.default_rng(0).standard_normal((4, days)))
    assert (found.effects[days:] == 1).all()
    for kind in ("item", "location"):
        assert np.allclose(found.group_effects[kind][:, days:], 1)
    assert np.allclose(found.prior_effects(np.array([0, 1, 2]), np.array([0, 1, 2]))[:, days:], 1)


def test_a_single_tuesday_says_little_of_tuesdays_and_that_of_many_series_more():
    def tuesday(series: int) -> float:
        sales = np.tile([8.0, 18.0, 9.0, 11.0, 9.0], (series, 1))
        return float(pooled_of(sales).effects[1])

    assert 1.05 < tuesday(1) < 1.4 < tuesday(100) < 18 / 11 + 1e-9


def test_in_a_first_week_all_variation_counts_as_noise():
    sales = np.random.default_rng(2).poisson(10, (4, 7)).astype(float)
    assert 0.03 < pooled(sales).noise < 0.3  # that of Poisson counts of 10 is 0.1


def test_from_the_third_week_on_a_series_that_repeats_exactly_has_no_noise():
    assert pooled(np.tile([10.0, 10, 10, 10, 10, 20, 5], (4, 3))).noise < 1e-12


def test_pooled_knowledge_survives_saving(tmp_path):
    found = pooled(chain())
    found.save(tmp_path)
    again = Pooled.load(tmp_path)
    assert np.array_equal(again.index, found.index) and again.keys["item"].equals(found.keys["item"])
