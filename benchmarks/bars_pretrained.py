"""The bars of the pretrained model: public tasks zero-shot, calibration, covariates, uplift, hard regimes, membership, tuning,
speed.

A figure that was measured with today's weights and is kept in `benchmarks/results` is read from there, the newest row: rows say the
hash of the network, so that no figure outlives its weights. What was not measured yet is measured now, which takes hours on two
cores for all; rows of speed are of a network's shape, whatever its weights. Bars of `small` are told where its weights lie in
`weights/`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

import checks_calibration
import checks_covariates
import checks_regimes
import checks_uplift
import finetune
import pretrained_checks
import pretrained_speed
from bars_accuracy import public_tasks
from blend import INSIDE
from blend import run as blend_run
from fev_retail import PRETRAINED, label
from fev_retail import run as public_task
from figures import Figure
from provenance import DATA, HERE, ROOT
from shelfcast.models.pretrained import CARD, GRAPH, read_weights
from shelfcast.nn.callbacks import HISTORY
from which_weights import USUAL, stamp

TASKS = ("rossmann_1D", "rossmann_1W", "walmart")
TINY = {"shown": (0.255, 0.255, 0.70), "hidden": (0.48, 0.44, 0.70)}
SMALL = (0.240, 0.245, 0.67)
BLENDED = ("walmart", "rossmann_1W", "rossmann_1D", "m5_1D")
RELEASED = ROOT / "weights"
MEGABYTE = 1e6


def newest(table: str, wanted: Mapping[str, object], folder: Path | None = None) -> dict[str, Any] | None:
    """The last row of a table of results whose columns have these values (None: nothing); None where there is none."""
    path = (folder or HERE / "results") / f"{table}.csv"
    if not path.is_file():
        return None
    rows = pl.read_csv(path, infer_schema_length=None)
    if not set(wanted) <= set(rows.columns):
        return None
    found = rows.filter(pl.all_horizontal(pl.col(k).is_null() if v is None else pl.col(k) == v for k, v in wanted.items()))
    return found.row(-1, named=True) if found.height else None


@cache
def alone(name: str, weights: str = USUAL, *, hidden: bool = False) -> float:
    """SQL of the network alone on a public task, the mean of all its windows."""
    options: dict[str, object] = {"weights": weights}
    count = getattr(public_tasks(), name)(DATA).windows  # type: ignore[attr-defined]
    row = newest("fev_retail", {"task": name, "model": label(PRETRAINED, options, hidden=hidden), "windows": count})
    if row is None:
        row = public_task(public_tasks(), name, PRETRAINED, None, 0, None, say=False, hidden=hidden, options=options)
    return float(str(row["SQL"]))


@cache
def measured(name: str) -> tuple[Figure, ...]:
    """All figures of a check, measured now."""
    return tuple(pretrained_checks.run(name, pretrained_checks.pretrained()))


def checked(name: str, figure: str, *, of: str, measure: str) -> float:
    """A figure of a check: from the rows of today's weights, or measured.

    Parameters
    ----------
    name : of the check as `pretrained_checks.py` calls it; figure : as its rows do
    of : set
    """
    row = newest(pretrained_checks.TABLE, {"weights": stamp(), "check": figure, "set": of, "measure": measure})
    if row is not None:
        return float(row["value"])
    return next(f.value for f in measured(name) if (f.check, f.set, f.measure) == (figure, of, measure))


def uncalibrated() -> float:
    """The largest distance of a share from its level, over the sets together."""
    return max(abs(checked("calibration", checks_calibration.CHECK, of=checks_calibration.ALL_SETS,
                           measure=checks_calibration.measure_of(q)) - q) for q in checks_calibration.LEVELS)


def worst_intermittent() -> float:
    """The least skill over TSB and Croston on any set."""
    return min(checked("intermittent", checks_regimes.INTERMITTENT, of=name, measure=f"skill over {rival}")
               for name in checks_regimes.SPARSE_SETS for rival in checks_regimes.RIVALS)


def worst_new() -> float:
    """The least skill over either mean of the category on any set, without a past and with three periods of it."""
    return min(checked("new", checks_regimes.NEW, of=name, measure=f"skill over {rival}{checks_regimes.told_of(points)}")
               for name in checks_regimes.NEW_SETS for rival in checks_regimes.RATHER.values() for points in checks_regimes.POINTS)


def lowered() -> int:
    """Public tasks whose score the network lowers as a member of `auto`, by an interval that leaves zero out."""
    lows = []
    for name in BLENDED:
        row = newest("blend_members", {"task": name, "first": "auto", "network": label(PRETRAINED), "share": INSIDE})
        row = row or blend_run(public_tasks(), name, seed=0, options={}, share=None, members=("auto", PRETRAINED), inside=True)
        lows.append(float(str(row["low"])))
    return sum(low > 0 for low in lows)


def tuned() -> float:
    """Mean over the sets of the change of SQL by fine-tuning, by the method that validated best."""
    changes = []
    for name in finetune.SETS:
        rows = [row for row in (newest("finetune", {"set": name, "method": method, "weights": called})
                                for method in finetune.METHODS for called in (stamp(), USUAL)) if row is not None]
        if not rows:
            raise LookupError(f"Nothing is kept of fine-tuning on {name}: run benchmarks/finetune.py --append first.")
        changes.append(float(min(rows, key=lambda row: row["validation"])["SQL_change"]))
    return round(sum(changes) / len(changes), 5)


def speed(network: str, column: str) -> float:
    """How many times as fast as a rival, the median over rounds, by the newest row."""
    row = newest("pretrained_speed", {"network": network})
    if row is None:
        row = next((r for r in timed() if r["network"] == network), None)
    if row is None:
        raise LookupError(f"There is no network {network!r} to time.")
    return float(str(row[column]))


@cache
def timed() -> list[dict[str, object]]:
    """All networks in the box and in the release, timed now."""
    return pretrained_speed.measured(1.0, 5, [USUAL, *(str(p) for p in released())], whole=False, say=False)


def released() -> list[Path]:
    """Folders of weights beside the package."""
    return sorted(p.parent for p in RELEASED.glob(f"*/{CARD}"))


def megabytes(*folders: Path) -> float:
    """Of all files in some folders."""
    return round(sum(p.stat().st_size for folder in folders for p in folder.rglob("*") if p.is_file()) / MEGABYTE, 2)


def accounted() -> int:
    """1 when the weights are those of their card, and it says by which command they were made, beside the training's log."""
    found = read_weights(USUAL)
    return int(bool(found.card.get("command")) and bool(found.card.get("trained_on")) and HISTORY in found.card["files"]
               and GRAPH in found.card["files"] and (found.folder / HISTORY).is_file())


def trains() -> int:
    """1 when a toy network's loss falls in two minutes, with skill above seasonal naive."""
    done = subprocess.run([sys.executable, str(HERE / "pretrain_check.py")], check=False, stdout=subprocess.DEVNULL,
                          env={**os.environ, "PYTHONWARNINGS": "ignore"})
    return int(done.returncode == 0)


def of_small() -> list[tuple[str, str, float, Callable[[], Any]]]:
    """Bars of the larger network, where it was trained."""
    folder = str(RELEASED / "small")
    if not (RELEASED / "small" / CARD).is_file():
        return []
    found: list[tuple[str, str, float, Callable[[], Any]]] = [
        (f"small, {name} SQL, zero-shot", "<=", bar, lambda name=name: alone(name, folder))
        for name, bar in zip(TASKS, SMALL, strict=True)]
    if (RELEASED / "small-int8" / CARD).is_file():
        found += [("small int8, forecasts a second over Chronos-Bolt-tiny", ">=", 1.3, lambda: speed("small-int8", "x_bolt")),
                  ("small int8, forecasts a second over Chronos-2", ">=", 10.0, lambda: speed("small-int8", "x_two"))]
    return found


BARS = [
    *((f"tiny, {name} SQL, zero-shot, covariates {how}", "<=", bar, lambda name=name, how=how: alone(name, hidden=how == "hidden"))
      for how, bars in TINY.items() for name, bar in zip(TASKS, bars, strict=True)),
    ("calibration, largest distance of P(y <= q) from 0.1, 0.5, 0.9", "<=", 0.03, lambda: round(uncalibrated(), 4)),
    ("weekly juice, cut of the SQL by showing price, deal and feature", ">=", 0.17,
     lambda: checked("shown", checks_covariates.SHOWN, of=checks_covariates.JUICE, measure=checks_covariates.CUT)),
    ("weekly juice, skill over recent quantiles", ">", 0.0,
     lambda: checked("shown", checks_covariates.SHOWN, of=checks_covariates.JUICE, measure=checks_covariates.OVER_RECENT)),
    ("weekly juice, move of the median by an irrelevant covariate", "<=", 0.02,
     lambda: checked("irrelevant", checks_covariates.IRRELEVANT, of=checks_covariates.JUICE, measure=checks_covariates.ONE)),
    *((f"uplift of promotions, correlation with the true one, {name}", ">=", bar,
       lambda name=name: checked("uplift", checks_uplift.CHECK, of=name, measure=checks_uplift.CORRELATION))
      for name, bar in (("stores", 0.9), ("grocery", 0.7))),
    ("public tasks that the network lowers as a member of auto", ">=", 2, lowered),
    ("fine-tuned, mean change of the SQL over zero-shot", "<", 0.0, tuned),
    ("intermittent series, least skill over TSB and Croston", ">", 0.0, worst_intermittent),
    ("new items, least skill over the category's mean", ">", 0.0, worst_new),
    ("sold-out items of the demo chain, size of the bias against demand", "<=", 0.02,
     lambda: abs(checked("sold_out", checks_regimes.SOLD_OUT, of="demo", measure=checks_regimes.BIAS_SOLD_OUT))),
    ("sold-out items of the demo chain, size of what empty shelves do to the forecast", "<=", 0.02,
     lambda: abs(checked("sold_out", checks_regimes.SOLD_OUT, of="demo",
                         measure=checks_regimes.DUE_TO_SHELVES.format(checks_regimes.SOLD_OUT)))),
    ("tiny, forecasts a second over Chronos-Bolt-tiny", ">=", 4.0, lambda: speed(USUAL, "x_bolt")),
    ("tiny, forecasts a second over Chronos-2", ">=", 10.0, lambda: speed(USUAL, "x_two")),
    ("tiny in the wheel, MB", "<=", 20.0, lambda: megabytes(read_weights(USUAL).folder)),
    ("weights beside the package, MB", "<=", 60.0, lambda: megabytes(RELEASED)),
    ("tiny, hash, training log and command are there", "==", 1, accounted),
    ("a toy network learns in two minutes", "==", 1, trains),
    *of_small(),
]
