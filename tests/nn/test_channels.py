"""What a network is told of series as of an origin: nothing that comes after, in units of their own, and all that is known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from nn.small_chain import chain, surroundings
from shelfcast.nn.batch import AGO_CHANNEL, AGO_KNOWN_CHANNEL, EXPECTED_CHANNEL, OBSERVED_CHANNEL, SALES_CHANNEL
from shelfcast.nn.channels import MOST_VALUES, Layout, Scaling

CONTEXT, HORIZON = 28, 7
TOLD = ("x", "anchor", "expected", "static", "item", "place", "scale", "weight", "upto")


@pytest.fixture(scope="module")
def shop():
    """A chain, what windows of it are made with, all of it as a block, and who its series are."""
    panel = chain()
    around, reach = surroundings(panel, context=CONTEXT, horizon=HORIZON)
    return around, around.block_of(panel, context=reach, horizon=HORIZON), around.who(panel.series)


def changed(block, what, after, value):
    """The block with other values in some columns past one of them."""
    def moved(values):
        out = values.copy()
        out[:, after + 1:] = value
        return out

    if what == "sales":
        return replace(block, sales=moved(block.sales))
    return replace(block, **{what: {name: moved(values) for name, values in getattr(block, what).items()}})


@pytest.mark.parametrize("value", [0.0, 1e4, np.nan])
@pytest.mark.parametrize("what", ["sales", "past"])
@pytest.mark.parametrize("origin", [20, 60, 110, 119])
def test_sales_and_past_covariates_after_the_origin_change_nothing_that_is_told(shop, origin, what, value):
    around, block, who = shop
    before, after = around.look(block, who, origin=origin), around.look(changed(block, what, origin, value), who, origin=origin)
    for name in TOLD:
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name), err_msg=name)


def test_known_covariates_are_told_to_the_end_of_the_horizon_and_no_further(shop):
    around, block, who = shop
    origin = 80
    plain = around.look(block, who, origin=origin)
    beyond = around.look(changed(block, "known", origin + HORIZON, 1.0), who, origin=origin)
    within = around.look(changed(block, "known", origin + HORIZON - 1, 5.0), who, origin=origin)
    np.testing.assert_array_equal(plain.x, beyond.x)
    where = (plain.x != within.x).any(axis=(0, 2))
    assert np.flatnonzero(where).tolist() == [CONTEXT + HORIZON - 1]


def test_everything_is_a_number(shop):
    around, block, who = shop
    for origin in (0, 5, 59, 60, 61, 119):
        view = around.look(block, who, origin=origin)
        for name in ("x", "anchor", "expected", "static", "scale", "weight"):
            values = getattr(view, name)
            assert np.isfinite(values).all(), (origin, name)
        assert (view.scale > 0).all() and (view.weight >= 0).all() and view.x.dtype == np.float32


def test_sales_are_told_in_units_of_their_level_where_they_were_observed(shop):
    around, block, who = shop
    origin = 100
    view = around.look(block, who, origin=origin)
    sales = block.sales[:, origin - CONTEXT + 1:origin + 1]
    seen = view.x[:, :CONTEXT, OBSERVED_CHANNEL] == 1
    np.testing.assert_array_equal(seen, np.isfinite(sales))
    assert (~seen).any() and (view.x[:, :CONTEXT, SALES_CHANNEL][~seen] == 0).all()
    back = np.sinh(view.x[:, :CONTEXT, SALES_CHANNEL]) * view.scale[:, None]
    np.testing.assert_allclose(back[seen], sales[seen], rtol=1e-4, atol=1e-3)
    assert (view.x[:, CONTEXT:, [SALES_CHANNEL, OBSERVED_CHANNEL]] == 0).all()


def test_the_truth_is_what_came_and_unknown_where_closed_or_past_the_last_column_allowed(shop):
    around, block, who = shop
    origin = 100
    view = around.look(block, who, origin=origin, last=origin + 4)
    came = block.sales[:, origin + 1:origin + 1 + HORIZON]
    np.testing.assert_allclose(view.truth[:, :4] * view.scale[:, None], came[:, :4], rtol=1e-5)
    assert np.isnan(view.truth[:, 4:]).all() and not view.lower[:, 4:].any()
    whole = around.look(block, who, origin=origin)
    closed = block.closed[:, origin + 1:origin + 1 + HORIZON]
    assert closed.any() and np.isnan(whole.truth[closed]).all() and np.isfinite(whole.truth[~closed]).all()
    assert np.isnan(around.look(block, who, origin=119).truth).all()


def test_sold_out_periods_are_lower_bounds(shop):
    around, block, who = shop
    view = around.look(block, who, origin=100)
    np.testing.assert_array_equal(view.lower, block.past["available"][:, 101:108] < 0.95)
    assert 0 < view.lower.mean() < 0.5


def test_what_is_expected_of_the_horizon_is_the_anchor(shop):
    around, block, who = shop
    view = around.look(block, who, origin=100)
    np.testing.assert_array_equal(view.x[:, CONTEXT:, EXPECTED_CHANNEL], view.anchor)
    np.testing.assert_allclose(np.sinh(view.anchor) * view.scale[:, None], view.expected, rtol=1e-4)


def test_one_sale_of_a_slow_seller_is_a_few_of_its_units_and_is_not_cut_off(shop):
    around, block, who = shop
    slow = np.zeros(block.sales.shape)
    slow[:, ::20] = 3.0
    view = around.look(replace(block, sales=slow), who, origin=97)
    assert (view.truth[:, 2] * view.scale == pytest.approx(3.0)) and (view.truth[:, 2] < 3).all()
    assert np.isfinite(view.weight).all() and (view.weight > 0).all()


def test_units_do_not_matter():
    """A thousand times the sales: the same channels, a thousand times the scale."""
    views = []
    for factor in (1.0, 1000.0):
        panel = chain(factor=factor)
        around, reach = surroundings(panel, context=CONTEXT, horizon=HORIZON)
        same = replace(around, expect=lambda flat, terms: flat)  # coefficients of the profile are fitted, and judged elsewhere
        views.append(same.look(same.block_of(panel, context=reach, horizon=HORIZON), same.who(panel.series), origin=110))
    one, other = views
    np.testing.assert_allclose(other.scale, 1000 * one.scale, rtol=1e-4)
    for name in ("x", "anchor", "static", "weight", "truth"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-3, atol=2e-3, err_msg=name)


def test_a_forecast_sees_the_same_as_training_did_at_that_origin():
    """From the cutoff, by the arrays that a forecast lays out, and by those of training."""
    panel = chain()
    around, reach = surroundings(panel, context=CONTEXT, horizon=HORIZON)
    who, context = around.who(panel.series), around.scheme.rhythm.context
    training = around.look(around.block_of(panel, context=reach, horizon=HORIZON), who, origin=reach - 1)
    forecast = around.look(around.block_of(panel, context=context, horizon=HORIZON), who, origin=context - 1)
    for name in (*TOLD[:4], "scale"):
        np.testing.assert_allclose(getattr(forecast, name), getattr(training, name), rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_hidden_series_shows_no_sales_no_name_and_the_level_of_its_item(shop):
    around, block, who = shop
    hidden = np.arange(len(block.sales)) == 0
    view, plain = around.look(block, who, origin=100, hidden=hidden), around.look(block, who, origin=100)
    unsaid = [SALES_CHANNEL, OBSERVED_CHANNEL, AGO_CHANNEL, AGO_KNOWN_CHANNEL]
    assert (view.x[0][:, unsaid] == 0).all() and view.place[0] == 0 < plain.place[0] and view.new.tolist() == hidden.tolist()
    recorded = replace(block, past={name: np.where(hidden[:, None], 9e3, values) for name, values in block.past.items()})
    np.testing.assert_array_equal(view.x, around.look(recorded, who, origin=100, hidden=hidden).x)
    larger = replace(block, sales=np.where(hidden[:, None], 9 * block.sales, block.sales))
    more = around.look(larger, who, origin=100, hidden=hidden)
    for name in (*TOLD[:6], "scale"):
        np.testing.assert_array_equal(getattr(view, name), getattr(more, name), err_msg=name)
    np.testing.assert_array_equal(view.x[1:], plain.x[1:])
    np.testing.assert_allclose(view.truth[0] * view.scale[0], plain.truth[0] * plain.scale[0], rtol=1e-5)
    assert view.weight[0] > 0


def test_last_years_remainder_stands_at_this_years_period():
    panel = chain(items=1, places=2, days=420)
    around, reach = surroundings(panel, context=CONTEXT, horizon=HORIZON)
    block, who = around.block_of(panel, context=reach, horizon=HORIZON), around.who(panel.series)
    origin, other = 410, block.sales.copy()
    other[0, origin + 3 - 364] += 500.0  # 22 February: no feast is near
    before = around.look(block, who, origin=origin)
    after = around.look(replace(block, sales=other), who, origin=origin)
    ago, known = before.x[0, :, AGO_CHANNEL], before.x[0, :, AGO_KNOWN_CHANNEL]
    moved = after.x[0, :, AGO_CHANNEL] - ago
    assert known[CONTEXT:].sum() >= 5
    assert moved.argmax() == CONTEXT + 2 and moved.max() > 1.0 and np.sort(moved)[-2] < 0.5


# -- scaling ----------------------------------------------------------------------------------------------------------


def test_prices_are_told_by_their_ratio_to_the_series_own():
    draw = np.random.default_rng(0)
    values = np.array([[1.0], [100.0]]) * np.exp(draw.normal(0, 0.1, (2, 400)))
    scaling = Scaling.of(values)
    told = scaling.apply(values, np.median(values, axis=1, keepdims=True))
    assert scaling.ratio and told.std(axis=1) == pytest.approx([1, 1], abs=0.1)
    assert abs(np.median(told, axis=1)).max() < 0.05


def test_numbers_around_zero_are_told_by_mean_and_spread():
    values = np.random.default_rng(0).normal(-5, 20, (3, 500))
    scaling = Scaling.of(values)
    told = scaling.apply(values)
    assert not scaling.ratio and told.mean() == pytest.approx(0, abs=0.01) and told.std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("values", [np.full((2, 9), np.nan), np.full((2, 9), 3.0), np.zeros((2, 9)), np.full((1, 1), 1e30),
                                    np.array([[np.nan, 2.0], [np.nan, np.nan]])])
def test_what_is_unknown_constant_or_huge_is_a_small_number(values):
    scaling = Scaling.of(values)
    for usual in (None, np.full((len(values), 1), np.nan), np.ones((len(values), 1))):
        told = scaling.apply(values, usual)
        assert told.shape == values.shape and np.isfinite(told).all() and np.abs(told).max() <= 5
        assert (told[np.isnan(values)] == 0).all()


def test_a_layout_comes_back_from_plain_values(shop):
    layout = shop[0].layout
    assert Layout.from_json(layout.as_json()) == layout and list(layout.numbers) == ["price"]
    assert set(layout.past) == {"visitors", "available"}


def test_a_text_has_a_channel_for_each_of_its_first_values_only(shop):
    around, block, who = shop
    many = tuple(f"t{i:02d}" for i in range(MOST_VALUES + 5))
    scheme = replace(around.scheme, texts={"theme": many})
    codes = np.random.default_rng(0).integers(0, len(many), block.closed.shape).astype(float)
    codes[:, ::3] = np.nan  # a value that training never saw
    view = replace(around, scheme=scheme).look(replace(block, known=block.known | {"theme": codes}), who, origin=100)
    plain = around.look(block, who, origin=100)
    assert view.x.shape[-1] == plain.x.shape[-1] + MOST_VALUES
    told = view.x.sum(axis=-1) - plain.x.sum(axis=-1)
    np.testing.assert_allclose(told, codes[:, 73:108] < MOST_VALUES, atol=1e-4)


@pytest.mark.parametrize("name", ["promo", "price", "visitors"])
def test_a_covariate_that_is_missing_in_the_past_is_told_apart_from_one_that_is_nought_or_usual(shop, name):
    whole = chain()
    lost = np.random.default_rng(2).random(whole.rows.height) < 0.3
    panel = replace(whole, rows=whole.rows.with_columns(pl.when(~pl.Series(lost)).then(pl.col(name)).alias(name)))
    around, reach = surroundings(panel, context=CONTEXT, horizon=HORIZON)
    assert shop[0].layout.gaps == () and around.layout.gaps == (name,)
    block, who = around.block_of(panel, context=reach, horizon=HORIZON), around.who(panel.series)
    view, plain = around.look(block, who, origin=100), shop[0].look(shop[1], shop[2], origin=100)
    assert view.x.shape[-1] == plain.x.shape[-1] + 1
    held = block.past if name == "visitors" else block.known
    window = held[name][:, 100 - CONTEXT + 1:101 + HORIZON]
    seen = np.isnan(window) & (np.arange(CONTEXT + HORIZON) < (CONTEXT if name == "visitors" else 99))
    assert seen.any()
    assert any((view.x[..., k] == seen).all() for k in range(view.x.shape[-1]))
