"""Batches out of drawn retailers."""

import numpy as np
import pytest

from shelfcast.errors import SettingsError
from shelfcast.models.worlds import Drawing, Worlds, draw_batch
from shelfcast.nn.batch import OBSERVED_CHANNEL, SALES_CHANNEL

SMALL = Drawing(seed=3, series=24, regimes=("monthly",))


def same(one: object, other: object) -> bool:
    names = ("x", "anchor", "static", "truth", "scale")
    return all(np.array_equal(getattr(one, k), getattr(other, k), equal_nan=True) for k in names)


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    first, again, other = (draw_batch(SMALL, k)[0] for k in (5, 5, 6))
    assert same(first, again)
    assert first.x.shape != other.x.shape or not np.array_equal(first.x, other.x)


def test_what_follows_the_cut_is_not_told() -> None:
    batch, _ = draw_batch(SMALL, 1)
    horizon = batch.anchor.shape[2]
    assert not batch.x[:, :, -horizon:, [SALES_CHANNEL, OBSERVED_CHANNEL]].any()
    assert np.isfinite(batch.truth).any()


def test_only_series_whose_future_is_known_count() -> None:
    batch, _ = draw_batch(SMALL, 2)
    counts = batch.weight > 0
    assert np.isfinite(batch.truth[counts]).any(axis=-1).all()
    assert counts.any()
    assert not batch.weight[~batch.there].any()


def test_contexts_are_whole_tokens() -> None:
    for number in range(4):
        batch, _ = draw_batch(SMALL, number)
        assert (batch.x.shape[2] - batch.anchor.shape[2]) % SMALL.patch == 0


def test_an_unknown_regime_is_refused() -> None:
    with pytest.raises(SettingsError, match="no regime 'shops'"):
        Drawing(regimes=("shops",))


def test_validation_does_not_move_with_the_seed() -> None:
    first, second = (Worlds(Drawing(seed=s, series=8), parts=1, processes=0, validated=1).validation() for s in (0, 1))
    assert same(next(iter(first)), next(iter(second)))
