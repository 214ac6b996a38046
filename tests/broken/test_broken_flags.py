"""Flags, targets and models that are wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from broken.builders import forecast, sales_csv, sound
from broken.corpus import Case, Corpus
from shelfcast.cli.main import main

corpus = Corpus()

FLAGS = [  # name, exit code, flags after `forecast SALES`, what standard error must say
    ("a_horizon_of_zero", 2, ["--horizon", "0"], r"The horizon is 0; it must be a whole number of periods from 1 to 5,000"),
    ("a_horizon_below_zero", 2, ["--horizon", "-3"], r"The horizon is -3; it must be"),
    ("a_horizon_of_a_billion", 2, ["--horizon", "1000000000"], r"The horizon is 1000000000; it must be"),
    ("a_horizon_in_words", 2, ["--horizon", "four"], r"--horizon: 'four' is not a whole number"),
    ("a_horizon_with_a_fraction", 2, ["--horizon", "2.5"], r"--horizon: '2\.5' is not a whole number"),
    ("a_flag_with_a_letter_missing", 2, ["--horizon", "3", "--modle", "naive"],
     r"'--modle' is not known here\. Did you mean --model\?"),
    ("a_flag_cut_short", 2, ["--horizon", "3", "--quie"], r"'--quie' is not known here\. Did you mean --quiet\?"),
    ("a_flag_that_resembles_nothing", 2, ["--horizon", "3", "--zzzz"],
     r"'--zzzz' is not known here\.\nSee: shelfcast forecast --help"),
    ("a_flag_of_ten_thousand_characters", 2, ["--horizon", "3", "--" + "z" * 10_000], r"'--z+\.\.\.' is not known here"),
    ("a_second_file", 2, ["--horizon", "3", "more.csv"], r"'more\.csv' is not known here"),
    ("a_flag_without_its_value", 2, ["--horizon"], r"--horizon: expected one argument"),
    ("an_unknown_model", 2, ["--horizon", "3", "--model", "naiv"], r"No model is called 'naiv'\. Did you mean 'naive'\?"),
    ("an_unknown_setting_of_a_model", 2, ["--horizon", "3", "--model", "boosted", "--set", "tres=3"],
     r"No setting of the model boosted is called 'tres'"),
    ("a_setting_of_the_wrong_type", 2, ["--horizon", "3", "--model", "boosted", "--set", "max_rows=many"],
     r"The setting 'max_rows' of the model 'boosted' is 'many'; it must be a whole number"),
    ("a_seed_of_a_model_with_a_fraction", 2, ["--horizon", "3", "--model", "boosted", "--set", "seed=1.5"],
     r"The setting 'seed' of the model 'boosted' is 1\.5; it must be a whole number"),
    ("a_country_that_is_a_number", 2, ["--horizon", "3", "--model", "boosted", "--set", "country=1"],
     r"The setting 'country' .* is 1; it must be a text"),
    ("a_country_that_does_not_exist", 2, ["--horizon", "3", "--model", "boosted", "--set", "country=XX"],
     r"No holidays are known for the country 'XX'"),
    ("a_model_named_in_five_thousand_letters", 2, ["--horizon", "3", "--model", "m" * 5_000], r"No model is called 'm+\.\.\.'"),
    ("a_setting_without_a_value", 2, ["--horizon", "3", "--set", "trees"], r"'trees' is not of the form NAME=VALUE"),
    ("a_seed_in_words", 2, ["--horizon", "3", "--seed", "lucky"], r"--seed: 'lucky' is not a whole number"),
    ("a_seed_below_zero", 2, ["--horizon", "3", "--seed", "-1"], r"The seed is -1; it must be a whole number from 0"),
    ("a_level_of_zero", 2, ["--horizon", "3", "--levels", "0,0.5"], r"0 is not a quantile level: levels lie between 0 and 1"),
    ("a_level_of_one", 2, ["--horizon", "3", "--levels", "0.5,1"], r"1 is not a quantile level"),
    ("a_level_above_one", 2, ["--horizon", "3", "--levels", "1.5"], r"1\.5 is not a quantile level"),
    ("a_level_that_is_not_a_number", 2, ["--horizon", "3", "--levels", "nan"], r"nan is not a quantile level"),
    ("falling_levels", 2, ["--horizon", "3", "--levels", "0.9,0.1"], r"Quantile levels must rise, each once; got 0\.9, 0\.1"),
    ("a_level_twice", 2, ["--horizon", "3", "--levels", "0.5,0.5"], r"Quantile levels must rise, each once; got 0\.5, 0\.5"),
    ("levels_in_words", 2, ["--horizon", "3", "--levels", "median"], r"'median' is not a number such as 0\.5"),
    ("no_levels", 2, ["--horizon", "3", "--levels", ""], r"At least one quantile level is needed"),
    ("ten_thousand_levels", 2, ["--horizon", "3", "--levels", ",".join(f"{i / 20_000:g}" for i in range(1, 10_001))],
     r"10,000 quantile levels are more than the 999"),
    ("an_unknown_frequency", 2, ["--horizon", "3", "--freq", "fortnight"],
     r"No frequency is called 'fortnight'\. Known: h \(hour\)"),
    ("an_unknown_way_with_returns", 2, ["--horizon", "3", "--returns", "ignore"], r"invalid choice: 'ignore'"),
]


def add_flags(name: str, code: int, flags: list[str], says: str) -> None:
    """One row of the table above as a case."""
    def build(folder: Path) -> list[str]:
        quick = [] if "--model" in flags else ["--model", "naive"]
        return ["forecast", str(sales_csv(folder)), "--no-backtest", *quick, *flags]
    build.__name__ = name
    corpus.add(code, says)(build)


for row in FLAGS:
    add_flags(*row)


@corpus.add(2, r"No verb is called 'forcast'\. Did you mean 'forecast'\?")
def a_verb_with_a_letter_missing(folder: Path) -> list[str]:
    return ["forcast", str(sales_csv(folder)), "--horizon", "3"]


@corpus.add(2, r"the following arguments are required: --horizon")
def a_backtest_without_a_horizon(folder: Path) -> list[str]:
    return ["backtest", str(sales_csv(folder)), "--run", str(folder / "run")]


@corpus.add(2, r"the following arguments are required: SALES")
def no_sales_given(folder: Path) -> list[str]:
    return ["forecast", "--horizon", "3"]


@corpus.add(2, r"The horizon is -1")
def a_check_of_less_than_no_horizon(folder: Path) -> list[str]:
    return ["check", str(sales_csv(folder)), "--horizon", "-1"]


# -- targets ----------------------------------------------------------------------------------------------------------


@corpus.add(2, r"The folder '.*absent' does not exist, so 'f\.parquet' cannot be written there\. Make it first: mkdir -p")
def a_forecast_into_a_folder_that_is_not_there(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--out", str(folder / "absent" / "f.parquet"))


@corpus.add(2, r"'.*out\.csv' is a folder; give the name of a file")
def a_forecast_onto_a_folder(folder: Path) -> list[str]:
    (folder / "out.csv").mkdir()
    return forecast(sales_csv(folder), "--out", str(folder / "out.csv"))


@corpus.add(2, r"'.*forecast\.xlsx' ends in neither \.parquet nor \.csv")
def a_forecast_in_a_format_that_is_not_written(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--out", str(folder.parent / "out" / "forecast.xlsx"))


@corpus.add(2, r"The file name 'n+'\.\.\. has more than the 255 bytes")
def a_forecast_with_a_name_that_is_too_long(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--out", str(folder / ("n" * 300 + ".csv")))


@corpus.add(2, r"The folder '/proc' cannot be written to \(.*\); choose another place for 'forecast\.csv'")
def a_forecast_where_nobody_may_write(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--out", "/proc/forecast.csv")


@corpus.add(2, r"sales\.csv' is one of the files that are read, and inputs are never changed")
def a_forecast_over_its_own_sales(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--out", str(folder / "sales.csv"))


@corpus.add(2, r"'.*page\.pdf' does not end in \.html")
def a_report_in_a_format_that_is_not_written(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--report", str(folder / "page.pdf"))


@corpus.add(2, r"Two of --out, --run, --report and --cache name the same place")
def two_results_in_one_place(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--run", str(folder / "page.html"), "--report", str(folder / "page.html"))


@corpus.add(2, r"'.*taken' is a file; give the name of a folder")
def a_run_onto_a_file(folder: Path) -> list[str]:
    (folder / "taken").write_text("mine")
    return forecast(sales_csv(folder), "--run", str(folder / "taken"))


@corpus.add(2, r"'.*letters' holds other files \(letter\.txt\) and no earlier result, which alone may be replaced")
def a_run_onto_a_folder_of_other_things(folder: Path) -> list[str]:
    (folder / "letters").mkdir()
    (folder / "letters" / "letter.txt").write_text("dear")
    return forecast(sales_csv(folder), "--run", str(folder / "letters"))


@corpus.add(2, r"shelfcast clean: '.*letters' holds other files \(letter\.txt\) and no earlier result")
def a_clean_panel_onto_a_folder_of_other_things(folder: Path) -> list[str]:
    (folder / "letters").mkdir()
    (folder / "letters" / "letter.txt").write_text("dear")
    return ["clean", str(sales_csv(folder)), "--out", str(folder / "letters")]


@corpus.add(2, r"The folder '.*absent' does not exist, so 'run' cannot be written there")
def a_run_into_a_folder_that_is_not_there(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--run", str(folder / "absent" / "run"))


# -- models -----------------------------------------------------------------------------------------------------------


def fitted(folder: Path, name: str = "profile") -> Path:
    """The run folder of a model fitted to the sound sales."""
    assert main(["fit", str(sales_csv(folder)), "--horizon", "3", "--model", name, "--run", str(folder / "fitted"), "--quiet"]) == 0
    return folder / "fitted"


@corpus.add(2, r"There is no folder '.*nowhere', so no model")
def a_model_folder_that_is_not_there(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--model", str(folder / "nowhere"))


@corpus.add(1, r"'.*empty' is not a saved model: model\.json is absent or damaged")
def a_model_folder_with_nothing_in_it(folder: Path) -> list[str]:
    (folder / "empty").mkdir()
    return forecast(sales_csv(folder), "--model", str(folder / "empty"))


@corpus.add(1, r"model' is not a saved model: model\.json is absent or damaged")
def a_model_whose_label_is_cut_off(folder: Path) -> list[str]:
    label = fitted(folder) / "model" / "model.json"
    label.write_text(label.read_text()[:40])
    return forecast(sales_csv(folder), "--model", str(folder / "fitted"))


@corpus.add(1, r"The file '.*' of the saved model '.*' is not what was written: it is damaged or was changed")
def a_model_that_was_tampered_with(folder: Path) -> list[str]:
    model = fitted(folder) / "model"
    file = next(p for p in sorted(model.rglob("*")) if p.is_file() and p.name != "model.json")
    file.write_bytes(file.read_bytes() + b"x")
    return forecast(sales_csv(folder), "--model", str(model))


@corpus.add(1, r"The saved model '.*' lacks its file '.*'; save it again")
def a_model_with_a_file_missing(folder: Path) -> list[str]:
    model = fitted(folder) / "model"
    next(p for p in sorted(model.rglob("*")) if p.is_file() and p.name != "model.json").unlink()
    return forecast(sales_csv(folder), "--model", str(model))


@corpus.add(1, r"'.*model' names a file outside itself, which no saved model does")
def a_model_that_reaches_out_of_its_folder(folder: Path) -> list[str]:
    return _relabelled(folder, lambda label: label["files"].update({"../../../etc/passwd": "0" * 64}))


@corpus.add(1, r"'.*model' says it holds a model 'oracle'; known are naive")
def a_model_that_nobody_knows(folder: Path) -> list[str]:
    return _relabelled(folder, lambda label: label.update(name="oracle"))


@corpus.add(1, r"'.*model' was written in format 99, and this version reads format \d")
def a_model_of_a_later_version(folder: Path) -> list[str]:
    return _relabelled(folder, lambda label: label.update(format=99))


def _relabelled(folder: Path, change: Callable[[dict], None]) -> list[str]:
    label = fitted(folder) / "model" / "model.json"
    content = json.loads(label.read_text())
    change(content)
    label.write_text(json.dumps(content))
    return forecast(sales_csv(folder), "--model", str(folder / "fitted"))


@corpus.add(2, r"The model in '.*fitted' is already fitted; the setting 'trees' cannot change it")
def a_setting_for_a_model_that_is_already_fitted(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--model", str(fitted(folder)), "--set", "trees=3")


@corpus.add(1, r"was fitted with the known covariate 'promo', which these sales do not have")
def a_model_fitted_with_covariates_that_are_now_missing(folder: Path) -> list[str]:
    with_promo = sales_csv(folder, sound(90).with_columns(promo=(sound(90)["sales"] > 7).cast(int)), "promo.csv")
    code = main(["fit", str(with_promo), "--horizon", "3", "--known", "promo", "--cutoff", "2024-02-29", "--model", "boosted",
                 "--run", str(folder / "fitted"), "--quiet"])
    assert code == 0
    return forecast(sales_csv(folder), "--model", str(folder / "fitted"))


@pytest.mark.parametrize("case", corpus.params())
def test_a_wrong_flag_is_answered(case: Case, answer: Callable[[Case], None]) -> None:
    answer(case)
