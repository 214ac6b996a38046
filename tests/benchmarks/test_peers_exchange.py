"""What a peer is given and hands back: the neutral format, and the measures that all are judged by."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from shelfcast.evaluate import metrics

ROOT = Path(__file__).resolve().parent.parent.parent
pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module of the neutral format, found as the peers find it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "peers"))
    yield importlib.import_module("exchange")


def window_of(exchange: ModuleType, days: int = 40, short: int = 5, horizon: int = 7):
    """Two series, one of them short, both with a gap, with a number and a text known ahead."""
    lengths = {"b_1": days, "a_2": short}
    ahead = pd.date_range("2024-03-11", periods=horizon)
    past = pd.concat([pd.DataFrame({"id": i, "date": pd.date_range(end="2024-03-10", periods=n), "y": np.arange(n) % 6 + 1.0})
                      for i, n in lengths.items()], ignore_index=True)
    future = pd.concat([pd.DataFrame({"id": i, "date": ahead}) for i in lengths], ignore_index=True)
    for frame in (past, future):
        frame["price"] = 2.0 + frame.index.to_numpy() % 3
        frame["event"] = [None if i % 5 else "Easter" for i in range(len(frame))]
    past.loc[[3, days + 1], "y"] = np.nan
    past.loc[:1, "price"] = np.nan
    static = pd.DataFrame({"id": list(lengths), "item": ["b", "a"], "store": ["1", "2"]})
    about = exchange.About("made up", 1, horizon, 7, "D", ["price", "event"], ["item", "store"], "item", "store")
    return exchange.Window(about, past, future, static)


def forecast_of(exchange: ModuleType, window) -> "pd.DataFrame":
    base = window.future.price.to_numpy()[:, None] * (0.5 + np.array(exchange.LEVELS))
    return pd.concat([window.future[["id", "date"]], pd.DataFrame(base, columns=exchange.QUANTILES)], axis=1)


def test_a_window_comes_back_as_it_was_written(exchange, tmp_path):
    window = window_of(exchange)
    exchange.write_window(tmp_path / "w", window)
    back = exchange.read_window(tmp_path / "w")
    assert back.about == window.about
    for name in ("past", "future", "static"):
        pd.testing.assert_frame_equal(getattr(back, name), getattr(window, name), check_dtype=False)
    assert "y" not in back.future


def test_a_forecast_with_a_missing_row_is_refused_and_crossing_quantiles_are_sorted(exchange, tmp_path):
    window = window_of(exchange)
    made = forecast_of(exchange, window)
    with pytest.raises(ValueError, match=r"1 of 14 rows of the horizon have no finite forecast"):
        exchange.write_forecast(tmp_path / "f.parquet", window, made.iloc[1:])
    crossed = made.rename(columns={"q0.1": "q0.9", "q0.9": "q0.1"})
    exchange.write_forecast(tmp_path / "f.parquet", window, crossed.sample(frac=1, random_state=0))
    back = exchange.read_forecast(tmp_path / "f.parquet")
    assert back.id.tolist() == window.future.id.tolist()
    np.testing.assert_allclose(back[exchange.QUANTILES], made[exchange.QUANTILES])


def test_what_a_library_cannot_take_is_filled_from_the_past_alone(exchange):
    window = window_of(exchange)
    tidy = exchange.ready(window, texts="dummies")
    assert tidy.about.known == ["price", "event_Easter"]
    assert np.isfinite(tidy.past.drop(columns=["id", "date"]).to_numpy(float)).all()
    assert tidy.past.y.iloc[3] == window.past.y.iloc[2]  # the day before
    assert tidy.future.price.tolist() == window.future.price.tolist()
    later = replace(window, future=window.future.assign(price=99.0))
    assert exchange.ready(later, texts="dummies").past.price.tolist() == tidy.past.price.tolist()


def test_a_short_series_is_begun_earlier_with_no_sales(exchange):
    tidy = exchange.ready(window_of(exchange), texts="codes")
    long = exchange.padded(tidy, 30)
    sizes = long.past.groupby("id").size()
    assert sizes["a_2"] == 30 and sizes["b_1"] == 40
    short = long.past[long.past.id == "a_2"]
    assert (short.y.iloc[:25] == 0).all() and (short.date.diff().dropna() == pd.Timedelta(days=1)).all()


def test_the_judge_of_the_peers_agrees_with_our_own_measures(exchange, public_data, monkeypatch):
    if not (public_data.parent / "bench" / "fev_tasks.py").exists():
        pytest.skip("needs the public benchmark's tasks beside the data")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    compare = importlib.import_module("compare")
    window = window_of(exchange, short=30)
    forecast = forecast_of(exchange, window)
    actual = np.array([[1.0, 5.0, np.nan, 2.0, 0.0, 9.0, 3.0], [2.0, 2.0, 4.0, 0.0, 7.0, 1.0, 6.0]])
    found = compare.scores(window, window.future[["id", "date"]].assign(y=actual.ravel()), forecast)
    levels = np.array(exchange.LEVELS)
    quantiles = forecast[exchange.QUANTILES].to_numpy().reshape(2, 7, 9)
    past = [part.to_numpy() for _, part in window.past.groupby("id", sort=False).y]
    scale = np.array([metrics.seasonal_error(one[None], 7)[0] for one in past])
    expected = {"SQL": metrics.sql(actual, quantiles, levels, scale=scale), "WQL": metrics.wql(actual, quantiles, levels),
                "WAPE": metrics.wape(actual, quantiles[..., 4]), "MASE": metrics.mase(actual, quantiles[..., 4], scale)}
    assert {k: float(found[k]) for k in expected} == pytest.approx(expected)
    assert found["inside80"] == pytest.approx(metrics.interval_coverage(actual, quantiles[..., 0], quantiles[..., -1]))
