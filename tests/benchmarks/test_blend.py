"""A blend of two members on a public task: weights from before the first window, and a row that says who took part."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pd = pytest.importorskip("pandas")

ROOT = Path(__file__).resolve().parent.parent.parent
DAYS, HORIZON = 90, 7


@pytest.fixture
def blend(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, found as the benchmark finds it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("blend")


def tasks() -> SimpleNamespace:
    """Twelve shops with noise around a week's rhythm, two windows."""
    random = np.random.default_rng(0)
    shop, day = (axis.ravel() for axis in np.indices((12, DAYS)))
    table = pd.DataFrame({"id": shop + 1, "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, "D")})
    table["y"] = random.poisson((20.0 + shop) * (1 + 0.5 * (day % 7 == 5))).astype(float)

    def cuts(task):
        for back in (2, 1):
            end = DAYS - back * HORIZON
            later = table[(day >= end) & (day < end + HORIZON)]
            yield table[day < end], later[["id", "date"]], {k: p.y.to_numpy() for k, p in later.groupby("id")}

    def score(history, came, quantiles, season):
        loss = np.mean([np.abs(came[k][:, None] - quantiles[k]).mean() for k in came])
        return {"SQL": loss, "WQL": loss, "WAPE": loss, "MASE": loss, "series": len(came)}

    about = SimpleNamespace(name="shops", horizon=HORIZON, windows=2, season=7, freq="D", known=[], static=[])
    return SimpleNamespace(
        shops=lambda _: about, cuts=cuts, score=score,
        seasonal_naive=lambda h, n, season: {k: np.resize(v[-season:], n)[:, None] * np.ones(9) for k, v in h.items()})


def test_a_row_says_who_was_blended_and_by_how_much_the_first_was_bettered(blend):
    row = blend.run(tasks(), "shops", seed=0, options={}, share=None, members=("naive", "profile"))
    assert (row["first"], row["network"], row["windows"]) == ("naive", "profile", 2)
    assert row["network SQL"] < row["first SQL"] and row["blend SQL"] < row["first SQL"]
    assert row["skill"] > 0 and row["low"] <= row["skill"] <= row["high"]


def test_a_share_of_nothing_leaves_the_first_member_as_it_is(blend):
    row = blend.run(tasks(), "shops", seed=0, options={}, share=0.0, members=("naive", "profile"))
    assert row["blend SQL"] == row["first SQL"] and row["skill"] == 0.0


def test_inside_means_that_auto_itself_is_told_to_take_the_network(blend, monkeypatch):
    asked: list[tuple[str, object]] = []
    plain = blend.learn

    def learn(task, panel, model, *, seed, options=None):
        asked.append((model, options))
        return plain(task, panel, "profile" if options else "naive", seed=seed)

    monkeypatch.setattr(blend, "learn", learn)
    monkeypatch.setattr(blend, "label", lambda *_: "pretrained (tiny 12345678)")
    row = blend.run(tasks(), "shops", seed=0, options={"weights": "tiny"}, share=None, members=("auto", "pretrained"), inside=True)
    assert asked[:3] == [("auto", None), ("pretrained", {"weights": "tiny"}), ("auto", {"pretrained": True, "weights": "tiny"})]
    assert (row["share"], row["network"]) == ("inside", "pretrained (tiny 12345678)") and row["skill"] > 0
