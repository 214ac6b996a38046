"""What tells drawn series from real ones: features that mean what they say, and distances that are nought for alike."""

import importlib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from shelfcast.panel import SalesPanel

ROOT = Path(__file__).resolve().parent.parent.parent
FIRST = date(2023, 1, 2)  # a Monday
DAYS = 364


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The modules, found as the benchmark finds them."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield SimpleNamespace(**vars(importlib.import_module("series_features")), **{
        n: getattr(importlib.import_module("prior_realism"), n) for n in ("area", "classify", "coverage", "energy", "standard",
                                                                          "by_feature")})


def panel(sales: dict[str, np.ndarray], **known: np.ndarray) -> SalesPanel:
    """Series of one place by day; known covariates are the same for all."""
    days = [FIRST + timedelta(days=i) for i in range(DAYS)]
    rows = pl.concat([pl.DataFrame({"item": name, "location": "here", "date": days, "sales": values.astype(float), **known})
                      for name, values in sorted(sales.items())])
    return SalesPanel.from_frame(rows, freq="D", known=list(known), closed_when="open" if "open" in known else None)


def table(room, sales: dict[str, np.ndarray], **known: np.ndarray) -> dict[str, dict[str, float]]:
    """{series: {feature: value}}"""
    found = room.sample(panel(sales, **known), window=DAYS, most=99, rng=np.random.default_rng(0), promo="promo", price="price")
    return dict(zip(sorted(sales), room.features(found).to_dicts(), strict=True))


def test_features_say_what_the_series_are(room):
    rng, t = np.random.default_rng(0), np.arange(DAYS)
    f = table(room, {"flat": rng.poisson(9, DAYS), "week": np.where(t % 7 == 5, 30, 10) + rng.poisson(1, DAYS), "rare": t % 10 == 9,
                     "packs": 6.0 * rng.poisson(3, DAYS), "growing": 10 + t + rng.poisson(1, DAYS),
                     "money": rng.lognormal(5, 0.1, DAYS)})
    assert f["week"]["week"] > 0.9 > 0.1 > f["flat"]["week"]
    assert f["rare"]["zeros"] == pytest.approx(0.9, abs=0.01)
    assert f["rare"]["zero_runs"] == pytest.approx(np.log10(9), abs=0.02) and f["rare"]["zero_longest"] == pytest.approx(9 / DAYS)
    assert f["packs"]["packs"] == pytest.approx(5 / 6, abs=0.01) and abs(f["flat"]["packs"]) < 0.2
    assert f["money"]["whole"] == 0 and f["flat"]["whole"] == 1
    assert f["growing"]["trend"] > 1 > 0.3 > abs(f["flat"]["trend"]) and f["growing"]["wander"] > f["flat"]["wander"]
    assert f["flat"]["dispersion"] == pytest.approx(0.0, abs=0.1)  # Poisson: variance over mean is 1


def test_a_series_alone_has_nobody_to_move_with_and_two_alike_have(room):
    wave = np.random.default_rng(0).gamma(4, 5, DAYS)
    assert np.isnan(table(room, {"one": wave})["one"]["together"])
    assert table(room, {"one": wave, "other": 2 * wave})["one"]["together"] > 0.99


def test_promotions_and_prices_are_seen_with_what_they_do(room):
    rng, t = np.random.default_rng(0), np.arange(DAYS)
    promo, price = (t % 14 < 5).astype(float), np.where(t < 182, 2.0, 4.0)
    lifted = rng.poisson(np.where(promo > 0, 60, 30)) * 1.0
    f = table(room, {"lifted": lifted, "deaf": rng.poisson(30, DAYS)}, promo=promo, price=price)
    assert f["lifted"]["promo"] == pytest.approx(5 / 14, abs=0.01)
    assert 10 ** f["lifted"]["promo_length"] == pytest.approx(5, abs=0.1)
    assert f["lifted"]["promo_uplift"] > 0.35 > 0.05 > abs(f["deaf"]["promo_uplift"])
    assert f["deaf"]["price_changes"] == pytest.approx(1 / 363) and f["deaf"]["price_spread"] == pytest.approx(np.log(2) / 2)
    assert np.isnan(table(room, {"one": lifted})["one"]["promo"])


def test_closed_days_are_no_zeros(room):
    is_open = (np.arange(DAYS) % 7 != 6).astype(float)
    f = table(room, {"shop": np.where(is_open > 0, 50.0, 0.0)}, open=is_open)["shop"]
    assert (f["closed"], f["zeros"]) == (pytest.approx(1 / 7), 0)


def test_no_feature_but_those_of_the_unit_depends_on_the_unit(room):
    y = np.random.default_rng(0).negative_binomial(2, 0.2, DAYS) * 1.0
    one, other = table(room, {"a": y})["a"], table(room, {"a": 7.3 * y})["a"]
    for name in set(one) - {*room.SCALED, "place"}:
        assert other[name] == pytest.approx(one[name], rel=1e-6, abs=1e-9, nan_ok=True), name


def test_a_short_panel_gives_no_sample(room):
    assert room.sample(panel({"a": np.ones(DAYS)}), window=DAYS + 1, most=9, rng=np.random.default_rng(0)) is None


def test_area_is_the_share_of_pairs_in_the_right_order(room):
    rng = np.random.default_rng(0)
    score, label, weight = rng.integers(0, 5, 40), rng.integers(0, 2, 40), rng.integers(0, 3, 40)
    pairs = [(w * v, (a > b) + 0.5 * (a == b)) for a, p, w in zip(score, label, weight, strict=True) if p
             for b, q, v in zip(score, label, weight, strict=True) if not q]
    assert room.area(score, label, weight) == pytest.approx(sum(w * s for w, s in pairs) / sum(w for w, _ in pairs))


def test_alike_cannot_be_told_and_unlike_can(room):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 3)), rng.normal(size=(200, 3))
    moved = y + np.array([0.0, 4.0, 0.0])
    groups = np.arange(400).astype(str)
    alike, unlike = (room.classify(["a", "b", "c"], x, other, groups) for other in (y, moved))
    assert alike.low < 0.5 < alike.high and unlike.low > 0.95
    assert max(unlike.lost, key=unlike.lost.get) == "b"
    worlds = np.repeat(np.arange(20), 10)
    assert abs(room.energy(*room.standard(x, y))) < 0.03 and room.energy(*room.standard(x, moved)) > 0.2
    assert room.coverage(*room.standard(x, y), worlds) > 0.85 and room.coverage(*room.standard(x, 3 * moved + 30), worlds) < 0.1
    rows = {r["feature"]: r for r in room.by_feature(["a", "b", "c"], x, moved, np.repeat(np.arange(10), 20), {})}
    assert rows["b"]["middle"] == 0 and rows["b"]["ks"] > 0.9 and rows["a"]["ks"] < 0.2
    assert rows["b"]["wasserstein"] == pytest.approx(4, abs=0.3)
