"""`--absent` at the command line: what was inferred is said, and the user may say otherwise."""

from datetime import date, timedelta

import polars as pl
import pytest

from shelfcast import workflow
from shelfcast.cli.main import main
from shelfcast.errors import UnknownNameError
from shelfcast.settings import ForecastSettings, SalesSettings


@pytest.fixture
def sparse(tmp_path):
    """Four items, each sold on about a third of the days, six units at a time; no row where nothing was sold."""
    rows = [{"item": f"i{i}", "date": date(2024, 1, 1) + timedelta(days=d), "sales": 6} for i in range(4) for d in range(120)
            if d in (0, 119) or (d * d + 5 * i) % 11 < 3]
    pl.DataFrame(rows).write_csv(tmp_path / "sales.csv")
    return tmp_path / "sales.csv"


def test_the_flag_turns_what_the_table_shows(sparse, tmp_path, capsys):
    means = {}
    for flags in ([], ["--absent", "missing"]):
        out = tmp_path / f"{len(flags)}.csv"
        asked = ["--horizon", "7", "--model", "profile", "--no-backtest", "--out", str(out)]
        assert main(["forecast", str(sparse), *asked, *flags]) == 0
        means[len(flags)] = pl.read_csv(out)["mean"].mean()
        assert ("nothing was sold" in capsys.readouterr().err) == (not flags)
    assert means[0] < 3 and means[2] > 2 * means[0]


def test_a_word_that_is_no_meaning_is_refused(sparse):
    with pytest.raises(UnknownNameError, match="zero"):
        SalesSettings(sales=sparse, absent="nothing")
    with pytest.raises(UnknownNameError, match="missing"):
        workflow.forecast(ForecastSettings(sales=sparse, horizon=3, absent="mising"))
