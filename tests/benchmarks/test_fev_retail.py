"""The public tasks as a user's table, with their covariates shown and hidden."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pd = pytest.importorskip("pandas")

ROOT = Path(__file__).resolve().parent.parent.parent
DAYS, HORIZON = 60, 7


@pytest.fixture
def fev(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, found as the benchmark finds it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("fev_retail")


@dataclass
class Task:
    """A task as the public benchmark describes one."""

    name: str = "shops"
    frame: object = None
    horizon: int = HORIZON
    windows: int = 1
    season: int = 7
    freq: str = "D"
    known: list = field(default_factory=lambda: ["Open", "School"])
    static: list = field(default_factory=lambda: ["Type"])


def rows(days: range, *, sold: bool) -> object:
    """Three shops, closed every seventh day."""
    shop, day = (axis.ravel() for axis in np.indices((3, len(days))))
    day = np.array(days)[day]
    table = pd.DataFrame({"id": shop + 1, "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, "D"),
                          "Open": (day % 7 != 6).astype(int), "School": (day // 7 % 2), "Type": np.array(list("abc"))[shop]})
    return table.assign(y=(20.0 + shop + 5 * table.School) * table.Open) if sold else table


def test_hidden_leaves_dates_names_and_sales_alone(fev):
    past, known = rows(range(DAYS), sold=True), rows(range(DAYS, DAYS + HORIZON), sold=False)
    shown = fev.panel_of(Task(), past, known)
    assert {"Open", "School", "Type"} <= set(shown.covariates) and shown.horizon_given() == HORIZON
    task = fev.without_covariates(Task())
    hidden = fev.panel_of(task, past, known)
    assert not hidden.covariates and hidden.closed_when is None and hidden.horizon_given() == 0
    assert hidden.cutoff == shown.cutoff
    np.testing.assert_array_equal(hidden.dense().sales, shown.dense().sales)
    assert Task().known == ["Open", "School"] and task.horizon == HORIZON


def test_a_run_with_hidden_covariates_knows_of_no_closed_day_and_says_so_in_its_row(fev):
    past, known = rows(range(DAYS), sold=True), rows(range(DAYS, DAYS + HORIZON), sold=False)
    later = rows(range(DAYS, DAYS + HORIZON), sold=True)
    truth = {key: part.y.to_numpy() for key, part in later.groupby("id")}

    def score(history, came, quantiles, season):
        loss = np.mean([np.abs(came[k][:, None] - quantiles[k]).mean() for k in came])
        return {"SQL": loss, "WQL": loss, "WAPE": loss, "MASE": loss, "series": len(came)}

    tasks = SimpleNamespace(
        shops=lambda _: Task(), cuts=lambda _: [(past, known, truth)], score=score,
        seasonal_naive=lambda h, n, season: {k: np.resize(v[-season:], n)[:, None] * np.ones(9) for k, v in h.items()})
    shown = fev.run(tasks, "shops", "profile", None, 0, None, say=False)
    hidden = fev.run(tasks, "shops", "profile", None, 0, None, say=False, hidden=True)
    assert shown["model"] == "profile" and hidden["model"] == "profile (covariates hidden)"
    assert hidden["SQL"] > shown["SQL"]  # what the coming week holds is not known
    assert fev.label("spacetime", once=True) == "spacetime (fitted once)"
    assert fev.label("boosted", {"effort": "fast"}, hidden=True) == "boosted (effort=fast, covariates hidden)"
