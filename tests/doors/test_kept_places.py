"""The table of places that a model learned with lies in its folder, and tells what the sales and what is given do not."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from broken.builders import sound
from shelfcast import workflow
from shelfcast.adjust.saving import learned_places
from shelfcast.errors import DataError, WeightsError
from shelfcast.settings import ForecastSettings

STORES = pl.DataFrame({"location": ["shop 1", "shop 2", "shop 9"], "latitude": [59.9, 60.4, 48.9], "longitude": [10.7, 5.3, 2.3],
                       "format": ["small", "large", "small"]})


@pytest.fixture(scope="module")
def stores() -> pl.DataFrame:
    """Two places that sell and one that does not, with an attribute."""
    sold = sound()["location"].unique().sort()
    return STORES.with_columns(location=pl.Series([*sold, "a shop to come"]))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[pl.DataFrame, list[str]]]:
    """Forecast without a horizon: the table and what was said."""
    def forecast(model: Path, **more: Any) -> tuple[pl.DataFrame, list[str]]:
        said: list[str] = []
        asked: dict[str, Any] = {"sales": sound(), "model": str(model), "backtest": False, "out": tmp_path / "f.parquet", **more}
        workflow.forecast(ForecastSettings(**asked), say=said.append)
        return pl.read_parquet(tmp_path / "f.parquet"), said
    return forecast


@pytest.fixture(scope="module")
def fitted(stores: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A boosted model that learned with the attribute of places."""
    run = tmp_path_factory.mktemp("fitted") / "run"
    workflow.fit(ForecastSettings(sales=sound(), places=stores, model="boosted", horizon=3, run=run))
    return run


def test_it_forecasts_as_with_the_table(fitted: Path, stores: pl.DataFrame, run) -> None:
    given, said = run(fitted, places=stores)
    assert not any("from the model in" in s for s in said), "a table that is given goes before"
    kept, said = run(fitted)
    assert any(s.startswith("Attributes of 3 locations from the model in") and "format" in s for s in said)
    assert_frame_equal(kept, given, check_exact=True)
    kept = learned_places(fitted / "model")
    assert kept is not None and kept["location"].to_list() == sorted(stores["location"]), "also of a place that opens later"


def test_a_table_that_is_given_goes_before(fitted: Path, stores: pl.DataFrame, run) -> None:
    with pytest.raises(DataError, match="was fitted with the static covariate 'format', which these sales do not have"):
        run(fitted, places=stores.drop("format"))


def test_what_sales_tell_of_places_themselves_goes_before(fitted: Path, stores: pl.DataFrame, run) -> None:
    """Attributes given beside the sales are kept as they are, and only the rest is taken from the folder."""
    own = stores.select("location", format=pl.lit("huge"))
    _, said = run(fitted, static=own)
    (sentence,) = (s for s in said if "from the model in" in s)
    assert sentence.endswith("latitude, longitude.")


def test_places_in_another_type_are_brought_together(tmp_path: Path, stores: pl.DataFrame, run) -> None:
    """Whole numbers in one file, text in the other."""
    number = {name: n for n, name in enumerate(stores["location"])}
    sales, table = (t.with_columns(pl.col("location").replace_strict(number)) for t in (sound(), stores))
    workflow.fit(ForecastSettings(sales=sales, places=table, model="boosted", horizon=3, run=tmp_path / "fitted"))
    _, said = run(tmp_path / "fitted", sales=sales.with_columns(pl.col("location").cast(pl.String)))
    assert any("Attributes of 3 locations from the model in" in s for s in said)


def test_other_places_are_not_taken_for_these(fitted: Path, run) -> None:
    with pytest.raises(DataError, match="was fitted with the static covariate 'format'"):
        run(fitted, sales=sound().with_columns(pl.col("location") + " in another town"))


def test_a_model_that_uses_no_places_keeps_none(tmp_path: Path, stores: pl.DataFrame) -> None:
    workflow.fit(ForecastSettings(sales=sound(), places=stores, model="naive", horizon=3, run=tmp_path / "fitted"))
    assert learned_places(tmp_path / "fitted" / "model") is None
    assert not list((tmp_path / "fitted").rglob("*places*"))


@pytest.mark.parametrize("damage", ["cut", "absent", "forged"])
def test_damage_says_what_to_do_and_a_given_table_helps(damage: str, fitted: Path, stores: pl.DataFrame, run, tmp_path) -> None:
    broken = Path(shutil.copytree(fitted / "model", tmp_path / "broken"))
    path, label = broken / "places.parquet", broken / "model.json"
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:50])
    if damage == "forged":
        found = json.loads(label.read_text())
        label.write_text(json.dumps({**found, "places": hashlib.sha256(path.read_bytes()).hexdigest()}))
    with pytest.raises(WeightsError, match=r"'places.parquet' of the saved model .* Give the table of places .*\(--places\)"):
        run(broken)
    assert run(broken, places=stores)[0].height == 4 * 3
