"""What may be tried of each model's settings: all of it can be made, and the defaults are in it."""

import numpy as np
import pytest

from shelfcast.errors import UnknownNameError
from shelfcast.evaluate.study import neighbour
from shelfcast.models.registry import make_model, missing_package, model_names
from shelfcast.models.spaces import Choice, Real, Whole, search_space

UNITS = ("h", "D", "W", "M", "Q", "Y")
HERE = [name for name in model_names() if missing_package(name) is None]


def holds(one, value) -> bool:
    if isinstance(one, Choice):
        return any(value == v and type(value) is type(v) for v in one.values)
    if isinstance(one, Whole):
        return one.low <= value <= one.high and (value - one.low) % one.step == 0
    return isinstance(one, Real) and one.low <= value <= one.high


@pytest.mark.parametrize("name", model_names())
def test_every_model_can_be_tuned(name):
    assert all(search_space(name, unit=unit).dimensions for unit in UNITS)


@pytest.mark.parametrize("name", HERE)
def test_a_search_can_begin_with_the_defaults(name):
    defaults = vars(make_model(name).settings)
    for unit in UNITS:
        for setting, one in search_space(name, unit=unit).dimensions.items():
            assert holds(one, defaults[setting]), f"{setting}={defaults[setting]} is not in {one}"


@pytest.mark.parametrize("name", HERE)
def test_whatever_is_tried_can_be_made(name):
    for unit in UNITS:
        space = search_space(name, unit=unit).dimensions
        defaults = {k: vars(make_model(name).settings)[k] for k in space}
        for index in range(1, 40):
            make_model(name, neighbour(defaults, space, seed=3, index=index))
        for setting, one in space.items():
            ends = one.values if isinstance(one, Choice) else (one.low, one.high)
            for value in ends:
                make_model(name, {setting: value})


@pytest.mark.parametrize("name", HERE)
def test_none_is_tried_only_where_it_is_the_default(name):
    """A file of settings cannot hold it, so leaving a setting out must mean it."""
    defaults = vars(make_model(name).settings)
    for setting, one in search_space(name, unit="D").dimensions.items():
        if isinstance(one, Choice) and None in one.values:
            assert defaults[setting] is None


def test_ways_of_blurring_what_the_network_learns_from_are_searched_and_cold_is_not():
    """`cold` matters for new places alone, which the windows of tuning do not hold."""
    space = search_space("spacetime", unit="W").dimensions
    for setting, low, high in (("shocks", 0, 0.4), ("events", 0, 0.3), ("scaling", 0, 0.5), ("mixing", 0, 0.5), ("hiding", 0, 0.3)):
        assert space[setting] == Real(low, high)
    assert not {"cold", "seed", "horizon", "country", "threads"} & set(space)


def test_what_is_given_is_not_searched():
    space = search_space("boosted", unit="D")
    assert "effort" not in space.without({"effort"}).dimensions
    assert space.without({"effort"}).as_json() != space.as_json()


def test_an_unknown_model_has_no_space():
    with pytest.raises(UnknownNameError, match="boosted"):
        search_space("bosted", unit="D")


def test_neighbours_change_one_to_four_settings_and_differ_from_each_other():
    space = search_space("spacetime", unit="W").dimensions
    default = {k: one.values[0] if isinstance(one, Choice) else one.low for k, one in space.items()}
    near = [neighbour(default, space, seed=0, index=i) for i in range(1, 13)]
    changed = [sum(n[k] != default[k] for k in space) for n in near]
    assert set(changed) <= {1, 2, 3, 4}
    assert len({str(n) for n in near}) == 12
    assert neighbour(default, space, seed=0, index=5) == near[4]
    assert np.mean(changed) > 1.5
