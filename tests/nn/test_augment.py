"""Altered batches: each way does what it says to the series it picks, and leaves the rest alone to the bit."""

from dataclasses import fields, replace

import numpy as np
import pytest

from nn.made_up import CONTEXT, tiny_batch
from shelfcast.errors import SettingsError
from shelfcast.nn import augment
from shelfcast.nn.augment import AugmentSettings, augmented

BATCH = tiny_batch(7, groups=40)
PAST = np.s_[..., :CONTEXT]
WAYS = {
    "jitter": lambda b, d, share: augment.jittered(b, d, share=share, size=0.1),
    "scaling": lambda b, d, share: augment.scaled(b, d, share=share, size=0.3),
    "masking": lambda b, d, share: augment.masked(b, d, share=share, size=0.4),
    "blocks": lambda b, d, share: augment.masked_blocks(b, d, share=share, size=0.5),
    "places": lambda b, d, share: augment.hidden_places(b, d, share=share),
    "mixing": lambda b, d, share: augment.mixed(b, d, share=share, size=0.5),
    "warping": lambda b, d, share: augment.warped(b, d, share=share, size=8.0),
    "channels": lambda b, d, share: augment.hidden_channels(b, d, share=share, channels=[5, 6]),
    "shocks": lambda b, d, share: augment.shocked(b, d, share=share, size=0.2),
}


def sales(batch):
    return batch.x[..., :CONTEXT, 0]


def seen(batch):
    return batch.x[..., :CONTEXT, 1] > 0


def equal(one, other):
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name), equal_nan=getattr(one, f.name).dtype.kind == "f")
               for f in fields(one))


def touched(batch):
    """Series of which any cell differs, (G, P)."""
    before, after = BATCH, batch
    parts = [(getattr(before, n), getattr(after, n)) for n in ("x", "anchor", "truth", "place", "static")]
    return np.any([(~((a == b) | ((a != a) & (b != b)))).reshape(*a.shape[:2], -1).any(-1) for a, b in parts], axis=0)


@pytest.mark.parametrize("way", WAYS)
def test_each_way_is_a_function_of_its_generator_and_changes_no_batch_it_was_given(way):
    kept = replace(BATCH, **{f.name: getattr(BATCH, f.name).copy() for f in fields(BATCH)})
    one, again, other = (WAYS[way](BATCH, np.random.default_rng(s), 1.0) for s in (0, 0, 1))
    assert equal(one, again) and equal(BATCH, kept)
    assert way == "places" or not equal(one, other)
    assert all(getattr(one, f.name).dtype == getattr(BATCH, f.name).dtype for f in fields(BATCH))


@pytest.mark.parametrize("way", WAYS)
def test_a_share_of_series_is_altered_and_the_others_are_not_touched_at_all(way):
    none = WAYS[way](BATCH, np.random.default_rng(0), 0.0)
    half = touched(WAYS[way](BATCH, np.random.default_rng(0), 0.5))
    every = touched(WAYS[way](BATCH, np.random.default_rng(0), 1.0))
    assert equal(none, BATCH)
    assert not half[~BATCH.there].any() and not every[~BATCH.there].any()
    assert 0.25 < half[BATCH.there].mean() < 0.75 and every[BATCH.there].mean() > 0.85


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"mixing", "channels"}))
def test_the_calendar_and_covariates_stay_those_of_their_dates(way):
    altered = WAYS[way](BATCH, np.random.default_rng(0), 1.0)
    assert np.array_equal(altered.x[..., 5:], BATCH.x[..., 5:])
    assert np.array_equal(altered.x[..., CONTEXT:, :2], BATCH.x[..., CONTEXT:, :2])


@pytest.mark.parametrize("way", WAYS)
def test_a_period_that_nobody_saw_shows_no_sales(way):
    altered = WAYS[way](BATCH, np.random.default_rng(0), 1.0)
    assert (sales(altered)[~seen(altered)] == 0).all() and (altered.x[..., CONTEXT:, :2] == 0).all()


def test_jitter_is_as_large_as_asked_and_makes_no_sale_negative():
    gap = (sales(WAYS["jitter"](BATCH, np.random.default_rng(0), 1.0)) - sales(BATCH))[seen(BATCH)]
    assert gap.std() == pytest.approx(0.1, rel=0.1) and abs(gap.mean()) < 0.02
    strong = augment.jittered(BATCH, np.random.default_rng(0), share=1.0, size=5.0)
    assert sales(strong).min() == 0


def test_scaling_multiplies_sales_expectation_and_truth_by_one_factor():
    bigger = WAYS["scaling"](BATCH, np.random.default_rng(0), 1.0)
    factor = bigger.truth / BATCH.truth
    there = BATCH.there
    assert np.allclose(factor[there][:, :1], factor[there], rtol=1e-5)
    assert np.allclose((np.sinh(bigger.anchor) / np.sinh(BATCH.anchor))[there], factor[there], rtol=1e-4)
    ratio = np.sinh(sales(bigger)) / np.sinh(sales(BATCH), where=seen(BATCH), out=np.ones_like(sales(BATCH)))
    assert np.allclose(ratio[seen(BATCH)], np.repeat(factor[..., :1], CONTEXT, -1)[seen(BATCH)], rtol=1e-4)
    assert np.log(factor[there][:, 0]).std() == pytest.approx(0.3, rel=0.25)
    grown = np.sinh(bigger.x[..., 2])[there] / np.sinh(BATCH.x[..., 2])[there]  # what was expected of each period, too
    assert np.allclose(grown, factor[there][:, :1], rtol=1e-4)


def test_a_shock_is_the_same_in_all_places_of_a_group_and_leaves_the_truth_alone():
    hit = WAYS["shocks"](BATCH, np.random.default_rng(0), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(seen(BATCH), np.log(np.sinh(sales(hit)) / np.sinh(sales(BATCH))), np.nan)
    assert (sales(hit)[seen(BATCH) & (sales(BATCH) == 0)] == 0).all() and (np.sign(sales(hit)) == np.sign(sales(BATCH))).all()
    full = np.isfinite(moved).all(axis=1)  # periods that all places saw
    assert np.allclose(moved[:, 0][full], moved[:, 1][full], atol=1e-5) and np.nanstd(moved) == pytest.approx(0.2 * 2**0.5, rel=0.2)
    ago = hit.x[..., 3] - BATCH.x[..., 3]
    assert np.allclose(ago[:, 0], ago[:, 1], atol=1e-5) and not np.allclose(ago[:, 0, :CONTEXT][full], moved[:, 0][full], atol=0.01)
    assert np.array_equal(hit.truth, BATCH.truth, equal_nan=True) and np.array_equal(hit.anchor, BATCH.anchor)


def test_masking_hides_about_the_share_of_periods_and_changes_no_other():
    hidden = WAYS["masking"](BATCH, np.random.default_rng(0), 1.0)
    gone = seen(BATCH) & ~seen(hidden)
    assert gone[BATCH.there].mean() == pytest.approx(0.4 * seen(BATCH)[BATCH.there].mean(), abs=0.05)
    assert np.array_equal(sales(hidden)[seen(hidden)], sales(BATCH)[seen(hidden)])


def test_a_block_is_one_run_of_periods():
    full = replace(BATCH, x=BATCH.x.copy())
    full.x[..., :CONTEXT, 1] = BATCH.there[..., None]
    gone = ~seen(WAYS["blocks"](full, np.random.default_rng(0), 1.0))[BATCH.there]
    edges = np.abs(np.diff(gone.astype(int), axis=-1, prepend=0, append=0)).sum(-1)
    assert (edges == 2).all()  # it begins once and ends once
    assert set(gone.sum(-1)) == {1, 2, 3, 4}
    assert gone.any(0).all()  # anywhere in the context


def test_a_hidden_place_has_no_history_and_no_identity_but_its_attributes():
    new = WAYS["places"](BATCH, np.random.default_rng(0), 0.5)
    unknown = BATCH.there & (new.place == 0)
    assert unknown.any() and not seen(new)[unknown].any()
    assert np.array_equal(new.static, BATCH.static) and np.array_equal(new.truth, BATCH.truth, equal_nan=True)
    assert np.array_equal(new.x[~unknown], BATCH.x[~unknown])


def test_a_hidden_channel_is_gone_in_all_places_and_periods_of_its_group():
    gone = WAYS["channels"](BATCH, np.random.default_rng(0), 1.0)
    empty = (gone.x[:, 0, :, 5:] == 0).all(1)
    assert empty.any(0).all() and (empty.sum(1) >= 1).all()
    assert np.array_equal(gone.x[..., :2], BATCH.x[..., :2])


def test_a_blend_lies_between_its_two_series_and_nearer_to_its_own():
    one = replace(BATCH, x=BATCH.x.copy(), truth=np.full_like(BATCH.truth, 1.0))
    one.truth[:20] = 3.0
    blend = WAYS["mixing"](one, np.random.default_rng(0), 1.0)
    first, last = blend.truth[:20][one.there[:20]], blend.truth[20:][one.there[20:]]
    assert first.min() >= 2 - 1e-6 and first.max() <= 3 + 1e-6 and last.min() >= 1 - 1e-6 and last.max() <= 2 + 1e-6
    assert first.min() < 2.5 and last.max() > 1.5


def test_a_blend_adds_sales_up_and_not_their_logarithms():
    pair = tiny_batch(3, groups=1)
    pair = replace(pair, x=pair.x.copy(), there=np.array([[True, True, False]]))
    pair.x[..., :CONTEXT, 1] = pair.there[..., None]
    pair.x[0, 0, :CONTEXT, 0], pair.x[0, 1, :CONTEXT, 0] = np.arcsinh(1.0), np.arcsinh(9.0)
    pair.x[0, 0, :, 2], pair.x[0, 1, :, 2] = 0, 1
    blend = augment.mixed(pair, np.random.default_rng(0), share=1.0, size=2.0)
    share = blend.x[0, 0, 0, 2]  # of the other, as its covariate shows it
    assert 0 < share <= 0.5
    assert np.allclose(np.sinh(blend.x[0, 0, :CONTEXT, 0]), 1 * (1 - share) + 9 * share, rtol=1e-5)


def test_a_blend_of_something_unknown_or_sold_out_is_so_too():
    one = replace(BATCH, truth=BATCH.truth.copy(), lower=BATCH.lower.copy())
    one.truth[0, 0, 0] = np.nan
    one.lower[1, 1, 1] = True
    blend = WAYS["mixing"](one, np.random.default_rng(0), 1.0)
    assert np.isnan(blend.truth[BATCH.there][:, 0]).sum() == 2 and blend.lower.sum() == 2
    assert not (seen(blend) & ~seen(BATCH)).any()


def test_warping_moves_the_past_of_a_window_and_keeps_what_is_next_to_the_horizon():
    line = replace(BATCH, x=np.zeros((40, 3, 42, 7), np.float32), truth=np.zeros((40, 3, 2), np.float32))
    line.x[..., :40, 0], line.x[..., :40, 1] = np.arange(1, 41), 1
    moved = augment.warped(line, np.random.default_rng(0), share=1.0, size=2.0).x[BATCH.there]
    steps = np.diff(moved[:, :40, 0], axis=-1)
    known = moved[:, :40, 1] > 0
    assert (steps >= 0).all() and steps.max() in (2, 3) and (moved[:, 39, 0] >= 39).all()
    assert ((steps == 0) & known[:, :-1]).any() and (~known).any()  # some stretched, some squeezed
    assert (moved[:, :40, 0][~known] == 0).all() and (moved[:, 40:] == 0).all()
    assert (known[:, -1]).all() and (np.diff(known.astype(int), axis=-1) >= 0).all()  # unknown periods are the oldest


def test_a_part_of_a_step_is_altered_the_same_way_again_and_each_in_its_own():
    settings = AugmentSettings(jitter=1.0, mixing=0.5, channels=0.5, blocks=0.3)
    first = augmented(BATCH, settings, seed=1, step=2, part=0, covariates=[2])
    assert equal(first, augmented(BATCH, settings, seed=1, step=2, part=0, covariates=[2]))
    for other in ({"seed": 2, "step": 2, "part": 0}, {"seed": 1, "step": 3, "part": 0}, {"seed": 1, "step": 2, "part": 1}):
        assert not equal(first, augmented(BATCH, settings, covariates=[2], **other))


def test_nothing_is_altered_unless_asked():
    assert augmented(BATCH, AugmentSettings(), seed=1, step=2, part=0) is BATCH


@pytest.mark.parametrize(("setting", "value"), [("jitter", 1.5), ("masking_size", 2.0), ("jitter_size", 0.0), ("warping_size", 1.0),
                                                ("channels", -0.1)])
def test_a_share_or_size_out_of_range_is_refused_with_the_value(setting, value):
    with pytest.raises(SettingsError, match=f"{setting} is {value}"):
        AugmentSettings(**{setting: value})
