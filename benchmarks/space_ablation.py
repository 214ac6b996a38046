"""What does space bring, on which encoder of time, joined how? One row a setting, beside the same network without space.

    python benchmarks/space_ablation.py                                          what is not yet measured at this commit
    python benchmarks/space_ablation.py --sets iowa --temporal mlp --spatial attention,graph --steps 500
    python benchmarks/space_ablation.py --model profile --sets chain             any other model: one row, no settings
    python benchmarks/space_ablation.py --markdown                               the table for docs/, of the newest rows

Every setting learns once from what was known before a set's first window (`space_sets.py`). A network without space has nothing to
fuse, so it is run once for each encoder; the others are compared with it, series by series and window by window: skill is 1 - loss
/ loss without space, with the 95 % interval that draws places (with all their items) and, from three windows on, windows. A
training by another seed ends in another network, which an interval over places knows nothing of: with --seeds 0,1,2 every setting
is trained so often, scores are means over the trainings, and these are drawn, too, each setting's apart.

Rows go to benchmarks/results/space_ablation.csv. A run that was killed goes on: settings whose row is there for this commit, with
the same steps and seed, are skipped unless --again; the losses of each setting are kept in a folder (`--keep`), for the comparison.
Where commits have come in between that change no number, --begun COMMIT goes on with the table begun at that commit.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from provenance import HERE, ROOT, append_row, commit
from shelfcast.evaluate.contest import MEASURES, contest_of
from shelfcast.evaluate.resampling import (
    Interval,
    Replicates,
    Resampling,
    interval_of,
    part_of,
    resample,
    skill_of,
    spread_of,
    widening,
)
from shelfcast.models.base import Forecaster
from shelfcast.models.registry import setting_names
from shelfcast.names import LOCATION
from space_runs import fitted_on, losses_of, settings_from
from space_sets import SETS

TABLE = "space_ablation"
TEMPORAL = ("transformer", "lstm", "gru", "mlp", "conv")
SPATIAL = ("none", "attention", "graph", "conv")
FUSION = ("gate", "concat", "attention")
MEASURED = ("SQL", "WQL")
NONE = "-"
"""Written where a setting has no meaning: the fusion of a network without space, all of them for a model that is no network."""


@dataclass(frozen=True)
class Cell:
    """One setting on one set."""

    set: str
    temporal: str
    spatial: str
    fusion: str

    @property
    def without(self) -> "Cell":
        """The same encoder without space."""
        return Cell(self.set, self.temporal, NONE if self.temporal == NONE else "none", NONE)

    @property
    def options(self) -> dict[str, object]:
        """As settings of the network."""
        return {k: v for k, v in (("temporal", self.temporal), ("spatial", self.spatial), ("fusion", self.fusion)) if v != NONE}


@dataclass(frozen=True)
class Runs:
    """How settings are run, and where their losses lie.

    Attributes
    ----------
    model : registered name
    options : settings that all share, such as steps
    seeds : of all draws: a training each
    keep : folder of losses
    begun : the commit at which the table was begun; rows and losses of other tables are not looked at
    """

    model: str
    options: dict[str, object]
    seeds: tuple[int, ...]
    keep: Path
    begun: str

    @property
    def about(self) -> dict[str, object]:
        """What tells the rows of one run from those of another."""
        said = ",".join(f"{k}={v}" for k, v in sorted(self.options.items()))
        return {"begun": self.begun, "model": self.model, "settings": said, "seed": " ".join(map(str, self.seeds))}

    def file(self, cell: Cell, seed: int) -> Path:
        """Where the losses of a training lie."""
        words = [str(v) for k, v in ({**self.about, "seed": seed}).items() if k != "begun"]
        return self.keep / self.begun / ("-".join([cell.set, cell.temporal, cell.spatial, cell.fusion, *words]) + ".parquet")

    def losses(self, cell: Cell) -> tuple[list[pl.DataFrame], dict[str, object]]:
        """Of every training: losses; and seconds and parameters of the last that was run now."""
        tables, cost = [], {}
        for seed in self.seeds:
            table, new = self.training(cell, seed)
            tables.append(table)
            cost |= new
        return tables, cost

    def training(self, cell: Cell, seed: int) -> tuple[pl.DataFrame, dict[str, object]]:
        """Fit and forecast, or read what was kept: losses, and seconds and parameters where it was run now."""
        path = self.file(cell, seed)
        if path.exists():
            return pl.read_parquet(path), {}
        one = SETS[cell.set]()
        began = time.perf_counter()
        fitted = fitted_on(one, self.model, {**self.options, **cell.options}, seed=seed)
        learned = time.perf_counter()
        losses = losses_of(one, fitted, cell.spatial)
        cost = {"fit_s": round(learned - began, 1), "predict_s": round(time.perf_counter() - learned, 1),
                "parameters": parameters_of(fitted)}
        path.parent.mkdir(parents=True, exist_ok=True)
        losses.write_parquet(path)
        return losses, cost


def parameters_of(fitted: Forecaster) -> int | None:
    """How many numbers a network learned; None for other models, and where too little history left the network out."""
    weights = getattr(fitted, "weights_", None)
    return None if weights is None else int(sum(np.size(w) for w in weights.values()))


def cells(sets: list[str], temporal: list[str], spatial: list[str], fusion: list[str]) -> Iterator[Cell]:
    """The settings of a table: for each encoder first the one without space, then the others."""
    for name in sets:
        for time_ in temporal:
            yield Cell(name, time_, "none", NONE)
            for space in spatial:
                if space != "none":
                    yield from (Cell(name, time_, space, join) for join in fusion)


def skills(losses: list[pl.DataFrame], without: list[pl.DataFrame]) -> dict[str, Interval]:
    """Skill over the network without space, by measure.

    Parameters
    ----------
    losses, without : a table a training, as many of each
    """
    roles = [f"{who} {k}" for who in ("space", "none") for k in range(len(losses))]
    tables = [one.with_columns(pl.lit(role).alias("model")) for one, role in zip([*losses, *without], roles, strict=True)]
    contest = contest_of(pl.concat(tables), roles)
    clusters = contest.clusters(LOCATION)
    assert clusters is not None
    units, found = int(clusters.max()) + 1, {}
    for name in MEASURED:
        part = part_of(contest.numerator(MEASURES[name]), contest.denominator(MEASURES[name]), clusters=clusters)
        settings = Resampling()
        found[name] = skill_over_trainings(resample([part], units=units, settings=settings)[0], len(losses), settings)
    return found


def skill_over_trainings(found: Replicates, trainings: int, settings: Resampling) -> Interval:
    """Skill of the first `trainings` models over the others, 1 - mean score / mean score.

    With several trainings these are drawn as well, each side's apart: a third deviation beside those of places and windows, added
    to them and widened for being few in the same way (see `evaluate.resampling`).
    """
    if trainings == 1:
        return skill_of(found, 0, 1, settings)

    def log_ratio(scores: np.ndarray) -> np.ndarray:
        return np.log(scores[..., :trainings].mean(axis=-1)) - np.log(scores[..., trainings:].mean(axis=-1))

    value, draw = float(log_ratio(found.estimate)), np.random.default_rng(settings.seed)
    drawn = np.concatenate([found.estimate[draw.integers(trainings, size=(settings.replicates, trainings)) + side]
                            for side in (0, trainings)], axis=1)
    spread = spread_of(found, log_ratio, settings) + widening(trainings, settings) * (log_ratio(drawn) - value)
    low, high = np.quantile(spread, [(1 - settings.confidence) / 2, (1 + settings.confidence) / 2])
    places = interval_of(found, log_ratio, settings)
    return replace(places, value=-np.expm1(value), low=-np.expm1(high), high=-np.expm1(low))


def scores(losses: list[pl.DataFrame]) -> dict[str, float]:
    """SQL and WQL, each the mean over windows and trainings; and how far trainings lie apart, as a share of the mean."""
    each: dict[str, list[float]] = {name: [] for name in MEASURED}
    for table in losses:
        contest = contest_of(table, [table["model"][0]])
        with np.errstate(invalid="ignore", divide="ignore"):
            for name, found in each.items():
                m = MEASURES[name]
                found.append(float(np.nanmean(contest.numerator(m)[0].sum(axis=1) / contest.denominator(m).sum(axis=1))))
    spread = {"SQL deviation": float(np.std(each["SQL"], ddof=1) / np.mean(each["SQL"]))} if len(losses) > 1 else {}
    return {name: float(np.mean(found)) for name, found in each.items()} | spread


def row_of(cell: Cell, runs: Runs) -> dict[str, object]:
    """One line of the table."""
    losses, cost = runs.losses(cell)
    said = scores(losses)
    row: dict[str, object] = {"set": cell.set, "temporal": cell.temporal, "spatial": cell.spatial, "fusion": cell.fusion,
                              **runs.about, **{k: round(said[k], 5) for k in MEASURED}}
    found = {} if cell == cell.without else skills(losses, runs.losses(cell.without)[0])
    for name in MEASURED:
        for word in ("value", "low", "high"):
            key = f"{name} skill" + ("" if word == "value" else f" {word}")
            row[key] = round(getattr(found[name], word), 4) if name in found else None
    deviation = said.get("SQL deviation")
    return row | {k: cost.get(k) for k in ("fit_s", "predict_s", "parameters")} | {
        "SQL deviation": None if deviation is None else round(deviation, 5)}


def measured(cell: Cell, runs: Runs) -> bool:
    """Whether the row of a setting is in the table that was begun at this commit."""
    path = HERE / f"results/{TABLE}.csv"
    if not path.exists():
        return False
    wanted = {"set": cell.set, "temporal": cell.temporal, "spatial": cell.spatial, "fusion": cell.fusion, **runs.about}
    rows = pl.read_csv(path, infer_schema=False).fill_null("")
    return not rows.filter(pl.all_horizontal(pl.col(k) == str(v) for k, v in wanted.items())).is_empty()


def markdown(rows: pl.DataFrame) -> str:
    """The newest row of each setting as tables, a set each; intervals that leave zero out are in bold."""
    keys = ["set", "temporal", "spatial", "fusion", "model", "settings", "seed"]
    newest = rows.unique(keys, keep="last", maintain_order=True)
    lines = []
    for (name,), part in newest.group_by("set", maintain_order=True):
        lines += [f"### {name}", "", "| temporal | spatial | fusion | SQL | skill over no space | WQL | skill over no space "
                  "| trainings | fit, s | parameters |",
                  "|---|---|---|---|---|---|---|---|---|---|"]
        for row in part.sort("temporal", maintain_order=True).iter_rows(named=True):
            said = [_skill(*(row[f"{m} skill{end}"] for end in ("", " low", " high"))) for m in MEASURED]
            rest = ["" if row[k] is None else f"{row[k]:{kind}}" for k, kind in (("fit_s", ".0f"), ("parameters", ",.0f"))]
            lines.append(f"| {row['temporal']} | {row['spatial']} | {row['fusion']} | {row['SQL']:.4f} | {said[0]} | "
                         f"{row['WQL']:.4f} | {said[1]} | {len(str(row['seed']).split())} | {rest[0]} | {rest[1]} |")
        how = ", ".join(f"{r['model']} {r['settings'] or ''}".strip() + f", seeds {r['seed']}, commit {r['begun']}"
                        for r in part.unique(["model", "settings", "seed", "begun"], maintain_order=True).iter_rows(named=True))
        lines += ["", f"{how}.", ""]
    return "\n".join(lines)


def _skill(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return ""
    text = f"{value:+.1%} ({low:+.1%} to {high:+.1%})"
    return f"**{text}**" if low > 0 or high < 0 else text


def main() -> None:
    """Run what is not yet measured, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="iowa,rossmann,chain")
    parser.add_argument("--model", default="spacetime")
    parser.add_argument("--temporal", default=",".join(TEMPORAL))
    parser.add_argument("--spatial", default=",".join(SPATIAL))
    parser.add_argument("--fusion", default=",".join(FUSION))
    parser.add_argument("--steps", type=int, default=None, help="training steps of each fit: bounds the time")
    parser.add_argument("--settings", default="", help="further settings of all: name=value,name=value")
    parser.add_argument("--seeds", default="0", help="trainings of each setting, by commas")
    parser.add_argument("--again", action="store_true", help="run also what is measured at this commit")
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / TABLE, help="folder of the losses")
    parser.add_argument("--begun", default=None, help="go on with the table begun at this commit; this commit when left out")
    parser.add_argument("--markdown", action="store_true")
    asked = parser.parse_args()
    if asked.markdown:
        print(markdown(pl.read_csv(HERE / f"results/{TABLE}.csv", infer_schema_length=None)))
        return
    sets = asked.sets.split(",")
    options = settings_from(asked.settings, asked.model) | ({} if asked.steps is None else {"steps": asked.steps})
    runs = Runs(asked.model, options, tuple(int(k) for k in asked.seeds.split(",")), asked.keep, asked.begun or commit())
    network = {"temporal", "spatial", "fusion"} <= set(setting_names(asked.model))
    chosen = (list(cells(sets, asked.temporal.split(","), asked.spatial.split(","), asked.fusion.split(","))) if network
              else [Cell(name, NONE, NONE, NONE) for name in sets])
    for number, cell in enumerate(chosen, start=1):
        if measured(cell, runs) and not asked.again:
            continue
        if asked.again:
            for seed in runs.seeds:
                runs.file(cell, seed).unlink(missing_ok=True)
        row = row_of(cell, runs)
        append_row(TABLE, row)
        print(f"{number}/{len(chosen)}  " + "  ".join(f"{k} {v}" for k, v in row.items() if v not in (None, "")), flush=True)


if __name__ == "__main__":
    main()
