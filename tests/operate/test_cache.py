"""The same content is forecast once; anything else, damage included, is forecast anew."""

import json
import logging
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from shelfcast.errors import SettingsError
from shelfcast.forecast import Forecast
from shelfcast.models.registry import make_model
from shelfcast.operate import cache as room
from shelfcast.operate.cache import ENTRY, MARK, ForecastCache, ForecastKey, cached_forecast, forecast_key
from shelfcast.operate.runs import FORECAST
from shelfcast.panel import SalesPanel
from shelfcast.periods import Frequency

LEVELS = (0.1, 0.5, 0.9)


def key(**other) -> ForecastKey:
    return ForecastKey(**{"panel": "a", "series": (0, 2), "model": "naive", "settings": "{}", "learned": "b", "horizon": 3,
                          "levels": LEVELS, "code": "c", **other})


def forecast(*, value: float = 1.0, horizon: int = 3, kind: type = np.float64) -> Forecast:
    series = pl.DataFrame({"item": ["cola", "tea"], "location": [7, 7]})
    quantiles = (value + np.arange(2 * horizon * 3).reshape(2, horizon, 3) / 3).astype(kind)
    return Forecast(series, Frequency.parse("W-FRI"), 2800, LEVELS, quantiles, quantiles.mean(2))


def sales(*, first: float = 5.0, price: float = 2.0) -> SalesPanel:
    days = [date(2024, 1, 1) + timedelta(days=i) for i in range(60)]
    frame = pl.DataFrame({"item": "cola", "location": "here", "date": days, "sales": [first] + [4.0, 9.0] * 28 + [None] * 3,
                          "price": [2.0] * 59 + [price]})
    return SalesPanel.from_frame(frame, freq="D", known=["price"])


def entry(cache: ForecastCache, which: ForecastKey):
    return cache.folder / which.name[:2] / which.name


def test_what_was_kept_is_read_back_whole_and_of_the_same_kind(tmp_path):
    for kind in (np.float64, np.float32):
        cache, made = ForecastCache(tmp_path / "cache"), forecast(kind=kind)
        cache.put(key(model=kind.__name__), made)
        read = cache.get(key(model=kind.__name__))
        assert read.series.equals(made.series) and (read.frequency, read.cutoff, read.levels) == (made.frequency, 2800, LEVELS)
        assert read.quantiles.dtype == kind and np.array_equal(read.quantiles, made.quantiles)
        assert np.array_equal(read.mean, made.mean) and read.to_frame().equals(made.to_frame())


def test_a_horizon_of_one_period_tells_its_frequency(tmp_path):
    cache = ForecastCache(tmp_path / "cache")
    cache.put(key(horizon=1), forecast(horizon=1))
    assert cache.get(key(horizon=1)).dates.to_list() == forecast(horizon=1).dates.to_list()


@pytest.mark.parametrize("other", [{"panel": "x"}, {"series": (2, 4)}, {"model": "profile"}, {"settings": '{"seed": 1}'},
                                   {"learned": "x"}, {"horizon": 4}, {"levels": (0.1, 0.5)}, {"code": "x"}],
                         ids=lambda o: next(iter(o)))
def test_another_question_is_not_answered_by_this_entry(tmp_path, other):
    cache = ForecastCache(tmp_path / "cache")
    cache.put(key(), forecast())
    assert cache.get(key(**other)) is None and cache.get(key()) is not None
    assert (cache.hits, cache.misses) == (1, 1)


def test_the_key_follows_the_content_of_panel_model_settings_and_question():
    def of(panel, *, name="naive", horizon=3, levels=LEVELS, **settings):
        return forecast_key(make_model(name, settings).fit(panel), panel, horizon=horizon, levels=levels)

    usual = of(sales())
    assert of(sales()) == usual and of(sales()).name == usual.name
    others = [of(sales(first=6.0)), of(sales(price=3.0)), of(sales(), season=1), of(sales(), horizon=2),
              of(sales(), name="profile"), of(sales(), levels=(0.1, 0.5, 0.8)), usual.of(0, 0)]
    assert len({usual.name, *(k.name for k in others)}) == 8


def test_a_model_that_learned_otherwise_has_another_key_for_the_same_sales():
    one, other = (make_model("profile").fit(sales(first=f)) for f in (5.0, 500.0))
    keys = [forecast_key(m, sales(), horizon=3, levels=LEVELS) for m in (one, other)]
    assert keys[0].panel == keys[1].panel and keys[0].learned != keys[1].learned


def test_another_version_of_the_code_or_of_a_package_is_another_key(monkeypatch):
    made = make_model("naive").fit(sales())
    usual = forecast_key(made, sales(), horizon=3, levels=LEVELS)
    for name, stand_in in (("code_hash", lambda: "of another version"), ("installed", lambda _: {"numpy": "0.1"})):
        with monkeypatch.context() as patch:
            patch.setattr(room, name, stand_in)
            room._code.cache_clear()
            assert replace(forecast_key(made, sales(), horizon=3, levels=LEVELS), code=usual.code) == usual
            assert forecast_key(made, sales(), horizon=3, levels=LEVELS).name != usual.name
        room._code.cache_clear()


def test_a_forecast_is_made_once_and_again_when_the_sales_change(tmp_path):
    made = []

    def ask(panel):
        model = make_model("naive").fit(panel)

        def make():
            made.append(panel)
            return model.predict(panel, horizon=3, levels=LEVELS)

        return cached_forecast(ForecastCache(tmp_path / "cache"), forecast_key(model, panel, horizon=3, levels=LEVELS), make)

    first, again, other = ask(sales()), ask(sales()), ask(sales(first=50.0))
    assert len(made) == 2 and again.to_frame().equals(first.to_frame()) and not other.to_frame().equals(first.to_frame())


def test_without_a_cache_everything_is_made():
    assert cached_forecast(None, None, forecast).to_frame().equals(forecast().to_frame())


def shorten_table(path):
    (path / FORECAST).write_bytes((path / FORECAST).read_bytes()[:-9])


def change_table(path):
    forecast(value=2.0).save(path / FORECAST)


def lose_table(path):
    (path / FORECAST).unlink()


def lose_entry(path):
    (path / ENTRY).unlink()


def spoil_entry(path):
    (path / ENTRY).write_text("{")


def swap_key(path):
    about = json.loads((path / ENTRY).read_text())
    (path / ENTRY).write_text(json.dumps({**about, "key": {**about["key"], "panel": "another"}}))


def swap_table(path):
    forecast(horizon=4).save(path / FORECAST)
    about = json.loads((path / ENTRY).read_text())
    (path / ENTRY).write_text(json.dumps({**about, "hash": room.hashlib.sha256((path / FORECAST).read_bytes()).hexdigest()}))


@pytest.mark.parametrize("damage", [shorten_table, change_table, lose_table, lose_entry, spoil_entry, swap_key, swap_table])
def test_a_damaged_entry_is_dropped_said_and_made_anew(tmp_path, caplog, damage):
    cache = ForecastCache(tmp_path / "cache")
    cache.put(key(), forecast())
    damage(entry(cache, key()))
    with caplog.at_level(logging.WARNING):
        assert cached_forecast(cache, key(), lambda: forecast(value=7.0)).to_frame().equals(forecast(value=7.0).to_frame())
    assert cache.dropped == 1 and "damaged" in caplog.text
    assert cache.get(key()).to_frame().equals(forecast(value=7.0).to_frame())


def test_what_was_not_asked_for_the_longest_goes_first(tmp_path):
    cache = ForecastCache(tmp_path / "cache")
    cache.put(key(panel="0"), forecast())
    size = cache.size()
    cache = ForecastCache(tmp_path / "cache", most_bytes=int(2.5 * size))
    cache.put(key(panel="1"), forecast())
    for age, name in enumerate("10"):  # of the file system's clock nothing is asked that it may be too coarse for
        room.os.utime(entry(cache, key(panel=name)), (1_000 + age, 1_000 + age))
    cache.put(key(panel="2"), forecast())
    assert [cache.get(key(panel=name)) is not None for name in "012"] == [True, False, True]
    assert cache.size() <= cache.most_bytes


def test_a_hit_is_asked_for_just_now(tmp_path):
    cache = ForecastCache(tmp_path / "cache")
    cache.put(key(), forecast())
    room.os.utime(entry(cache, key()), (1_000, 1_000))
    cache.get(key())
    assert entry(cache, key()).stat().st_mtime > 1_000


def test_a_forecast_larger_than_the_cache_is_not_kept_and_costs_none_that_is(tmp_path, caplog):
    cache = ForecastCache(tmp_path / "cache")
    cache.put(key(), forecast())
    small = ForecastCache(tmp_path / "cache", most_bytes=cache.size())
    with caplog.at_level(logging.WARNING):
        small.put(key(horizon=500), forecast(horizon=500))
    assert small.unkept == 1 and "larger than" in caplog.text
    assert small.get(key()) is not None and small.get(key(horizon=500)) is None


def test_what_cannot_be_written_costs_no_forecast(tmp_path, caplog):
    cache = ForecastCache(tmp_path / "cache")
    (cache.folder / key().name[:2]).write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert cached_forecast(cache, key(), forecast).to_frame().equals(forecast().to_frame())
    assert cache.unkept == 1 and "not kept" in caplog.text


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    cache = ForecastCache(tmp_path / "cache")
    cache.put(key(), forecast())
    home = entry(cache, key()).parent
    left, written = (home / f".{'0' * 40}.{process}.partial" for process in (dead.pid, room.os.getppid()))
    for path in (left, written):
        path.mkdir()
        (path / FORECAST).write_bytes(b"half")
    cache.put(key(panel="x"), forecast())
    assert not left.exists() and written.exists() and cache.get(key()) is not None


def test_a_folder_of_other_things_is_no_cache(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "letter.txt").write_text("dear")
    with pytest.raises(SettingsError, match=r"holds other files \(letter\.txt\)"):
        ForecastCache(tmp_path / "letters")
    with pytest.raises(SettingsError, match="A cache of 0 bytes holds nothing"):
        ForecastCache(tmp_path / "cache", most_bytes=0)
    assert (ForecastCache(tmp_path / "cache").folder / MARK).exists()


MANY = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, random
from test_cache import entry, forecast, key
from shelfcast.operate.cache import ForecastCache
cache = ForecastCache(sys.argv[2], most_bytes=int(sys.argv[3]))
order = random.Random(int(sys.argv[4]))
for _ in range(40):
    n = order.randrange(6)
    read = cache.get(key(panel=str(n)))
    if read is None:
        cache.put(key(panel=str(n)), forecast(value=float(n)))
    else:
        assert np.array_equal(read.quantiles, forecast(value=float(n)).quantiles)
assert cache.dropped == cache.unkept == 0, (cache.dropped, cache.unkept)
print(cache.hits)
"""


def test_several_processes_write_read_and_evict_in_one_folder_without_a_wrong_answer(tmp_path):
    cache = ForecastCache(tmp_path / "cache")
    cache.put(key(), forecast())
    most = int(3.5 * cache.size())
    here = str(room.Path(__file__).parent)
    runs = [subprocess.Popen([sys.executable, "-c", MANY, here, str(cache.folder), str(most), str(seed)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for seed in range(3)]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert sum(int(out) for out, _ in said) > 0
    assert ForecastCache(cache.folder, most_bytes=most).size() <= most
