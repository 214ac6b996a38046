"""Errors: one tree, exit codes, and messages that stay short however long the input was."""

import pickle

import pytest

from shelfcast.errors import (
    DataError,
    MissingExtraError,
    SettingsError,
    ShelfcastError,
    SourceError,
    UnknownNameError,
    WeightsError,
    shorten,
)


@pytest.mark.parametrize(("kind", "also", "code"), [
    (DataError, ShelfcastError, 1), (SettingsError, ValueError, 2), (UnknownNameError, SettingsError, 2), (SourceError, OSError, 2),
    (WeightsError, ShelfcastError, 1), (MissingExtraError, ImportError, 3),
])
def test_each_error_has_its_exit_code_and_its_relatives(kind, also, code):
    assert issubclass(kind, ShelfcastError) and issubclass(kind, also) and kind.exit_code == code


@pytest.mark.parametrize("error", [
    DataError("no sales"), SettingsError("wrong"), SourceError("no file"), WeightsError("damaged"),
    UnknownNameError("model", "boostd", ["boosted"]), MissingExtraError("Networks", "train", "torch"),
], ids=lambda e: type(e).__name__)
def test_an_error_comes_whole_out_of_a_worker_process(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.args, vars(again)) == (type(error), str(error), error.args, vars(error))


def test_an_unknown_name_is_told_the_nearest_and_the_known_ones():
    text = str(UnknownNameError("model", "boostd", ["naive", "boosted"], advice="See shelfcast models."))
    assert text == "No model is called 'boostd'. Did you mean 'boosted'? Known: naive, boosted. See shelfcast models."
    assert str(UnknownNameError("column", "Sales", ["sales"])).startswith("No column is called 'Sales'. Did you mean 'sales'?")


def test_many_known_names_are_counted_and_none_is_said():
    assert "and 1,980 more" in str(UnknownNameError("item", "x", [f"item {i}" for i in range(2000)]))
    assert str(UnknownNameError("column", "x", [])) == "No column is called 'x'. There is no column at all."


def test_a_name_of_ten_thousand_characters_makes_a_short_message_in_bounded_time():
    assert len(str(UnknownNameError("column", "x" * 10_000, ["y" * 10_000, "sales"]))) < 400


def test_a_missing_extra_says_the_line_that_installs_it():
    error = MissingExtraError("Reading Excel", "excel", "fastexcel")
    assert str(error) == ("Reading Excel needs the package 'fastexcel', which is not installed. "
                          "Install it with: pip install 'shelfcast[excel]'") and error.extra == "excel"


@pytest.mark.parametrize(("value", "limit", "shown"), [("abc", 80, "abc"), (12, 80, "12"), ("abcdef", 5, "ab...")])
def test_values_are_shortened_for_messages(value, limit, shown):
    assert shorten(value, limit) == shown
