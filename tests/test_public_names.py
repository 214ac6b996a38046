"""The public list is exactly the list, and all of it is there."""

import shelfcast

PROMISED = ["Forecast", "SalesPanel", "check_sales", "clean_sales", "load_model", "make_model", "read_sales"]
NEED_AN_EXTRA = ["SalesForecaster", "SalesSplit"]  # scikit-learn; so `from shelfcast import *` leaves them out


def test_the_public_names_are_the_promised_ones():
    assert sorted(shelfcast.__all__) == PROMISED


def test_every_public_name_can_be_had_and_has_a_docstring():
    for name in [*shelfcast.__all__, *NEED_AN_EXTRA]:
        assert getattr(shelfcast, name).__doc__


def test_an_unknown_name_is_refused_as_python_does():
    assert not hasattr(shelfcast, "forcast")
