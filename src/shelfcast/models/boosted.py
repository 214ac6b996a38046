"""Boosted: trees that correct the profile, with quantiles. The default forecast.

Direct multi-horizon: one row per series, origin and step ahead, with the step as a feature. Two kinds of demand are learned apart.

steady  LightGBM on (sales - profile) / scale, six parts with absolute and four with squared loss, which err in different places;
        a small one learns how large the errors are, from errors made on data not seen; pooled standardised errors give the
        quantiles.
slow    (many periods without a sale) LightGBM with Poisson loss on sales / profile, the mean; quantiles come from what was
        sold, in units of a usual sale, where as much was expected.

Each learns four models that leave out a quarter of the time (or of the series, where history is short) and averages them; every
other one is not told the position in the year, for trees learn a single year by heart. For the same reason they learn from the
past run backwards, too, from a year of it on. How they do in the time they have not seen says which share of their correction
is taken, at least `LEAST_TRUST` of it for steady demand; that is drawn towards what the series itself sold a year ago by as
much as series repeat themselves.
Rows weigh by one over the naive error, so that the loss is the scaled one that forecasts are judged by.

Where there is too little history for trees, `boosting_` is False, `reason_` says why, and the profile answers.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import lightgbm as lgb
import numpy as np

from shelfcast.errors import SettingsError, UnknownNameError, WeightsError
from shelfcast.features.block import Block, make_block
from shelfcast.features.calendar import SEASONAL
from shelfcast.features.history import TINY
from shelfcast.features.table import base_terms, features_at, stand
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.models.base import Traits, require_future
from shelfcast.models.boosted_rows import Draw, Sample, draw_sample, draws, stands
from shelfcast.models.profile import (
    ENOUGH_ROWS,
    Profile,
    ProfileSettings,
    apply_coefficients,
    chunk_size,
    drawn_towards,
    error_scale,
    finish,
    is_slow,
    last_years_value,
    repeats,
    require_fitted,
)
from shelfcast.models.quantiles import SlowShape, SteadyShape
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel

Effort = Literal["fast", "full"]
FOLDS = 4
FEWEST_ROWS = 1_000  # below this, of either kind of demand, trees find nothing that holds
FEW_ROWS = 20_000  # below this, threads wait for each other longer than they work
_FORMAT = 3
_BLOCKS = 4  # blocks of time from which on folds are blocks of time
_TRUST = np.linspace(0, 1, 11)  # shares of the trees' correction that are tried
_BOUNDS = (-3.0, 5.0)  # of a correction, in scales of errors
MIRRORED = 0.5  # weight of rows of the past run backwards
LEAST_TRUST = 0.85  # one model's unseen errors ask for too little: the average of all errs less than any of them
FAMILIES = {"steady": ("regression_l1", 0.6, 1.0), "steady square": ("regression", 0.4, 0.6)}
"""Trees that are averaged into the middle of steady demand: objective, weight, share of the trees."""
_KINDS = ("steady", "slow")


@dataclass(frozen=True)
class _Size:
    """What a dial of effort means."""

    rows: int
    trees: int
    leaves: int
    rate: float


SIZES: dict[str, _Size] = {"fast": _Size(60_000, 120, 31, 0.1), "full": _Size(160_000, 220, 63, 0.065)}
"""Effort: `fast` learns from a third of the rows with trees of half the size and number."""


@dataclass(frozen=True, kw_only=True)
class BoostedSettings:
    """How the booster learns.

    Attributes
    ----------
    seed : of every draw
    effort : `fast` (some seconds) or `full` (a minute or so, usually a few percent better)
    max_rows : rows learned from, and as many of the past run backwards; what `effort` says when None
    max_series : series that rows are drawn from
    horizon : periods ahead; as far as known covariates reach, or by frequency, when None
    country : two letters, for public holidays; none when None
    threads : of LightGBM; a fixed number, since results are the same only for the same number
    trust : share of the trees' correction that is taken, 0 to 1; found in the past when None; the pull to last year stays
    """

    seed: int = 0
    effort: Effort = "full"
    max_rows: int | None = None
    max_series: int = 12_000
    horizon: int | None = None
    country: str | None = None
    threads: int = 2
    trust: float | None = None

    def __post_init__(self) -> None:
        if self.effort not in SIZES:
            raise UnknownNameError("effort", str(self.effort), SIZES)
        for name in ("max_rows", "max_series", "horizon", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}; it must be at least 1.")
        if self.trust is not None and not 0 <= self.trust <= 1:
            raise SettingsError(f"trust is {self.trust}; it must be a share from 0 to 1.")

    @property
    def rows(self) -> int:
        """Rows learned from."""
        return self.max_rows or SIZES[self.effort].rows


@dataclass
class _Rows:
    """Rows of one kind of demand, ready for learning: features, truth, base, last year's value (nan where not known), error scale,
    size, naive error, fold, and whether time runs forwards."""

    x: np.ndarray
    truth: np.ndarray
    base: np.ndarray
    last_year: np.ndarray
    scale: np.ndarray
    size: np.ndarray
    naive: np.ndarray
    fold: np.ndarray
    forward: np.ndarray


class Boosted:
    """Trees on the profile. See the file's docstring."""

    traits = Traits(name="boosted", summary="LightGBM on the profile: direct multi-horizon, quantiles, known covariates",
                    uses_known=True, uses_past=True, uses_static=True)

    def __init__(self, settings: BoostedSettings = BoostedSettings()) -> None:
        self.settings = settings

    def fit(self, panel: SalesPanel) -> Self:
        """Learn the profile, then trees on what it leaves."""
        s = self.settings
        sample = draw_sample(panel, horizon=s.horizon, most_series=s.max_series, seed=s.seed, country=s.country)
        base = ProfileSettings(seed=s.seed, horizon=s.horizon, country=s.country)
        self.profile_ = Profile(base).fit_sample(sample, net_of_returns=panel.net_of_returns)
        self.horizon_ = sample.horizon
        self.trees_: dict[str, list[lgb.Booster]] = {}
        self.trust_: dict[str, float] = {}
        self.names_: tuple[str, ...] = ()
        rows = self._rows(sample)
        self.boosting_, self.reason_ = True, ""
        self.only_: str | None = None
        enough = [k for k in _KINDS if k in rows and rows[k].forward.sum() >= FEWEST_ROWS]
        if not enough:
            have = sum(int(r.forward.sum()) for r in rows.values())
            self.boosting_ = False
            self.reason_ = (f"history gives {have:,} past forecasts to learn from and trees need {FEWEST_ROWS:,}; "
                            f"the profile forecasts instead")
            return self
        if len(enough) < len(rows):  # too few rows of a kind learn with the other
            one = enough[0]
            rows = {one: _join(list(rows.values()))}
        self.only_ = enough[0] if len(enough) == 1 else None
        if "steady" in rows:
            self._fit_steady(rows["steady"], settled=sample.settled)
        if "slow" in rows:
            self._fit_slow(rows["slow"])
        return self

    # -- learning ---------------------------------------------------------------------------------------------------

    def _rows(self, sample: Sample) -> dict[str, _Rows]:
        """Rows to learn from, by kind of demand: of the past as it was, and, where it spans years, of the past run backwards.

        A year of targets is one draw of all that happens to everybody at once, and trees learn it by heart. Run
        backwards, the year before is foretold from the year after, and what was a surprise upwards is one downwards.
        """
        s = self.settings
        chosen = draws(sample, most_rows=s.rows, seed=s.seed)
        width, first = sample.block.sales.shape[1], min((d.origin for d in chosen), default=0)
        length = max(sample.horizon // 2, sample.scheme.rhythm.year // 8, 1)
        blocks = length if (width - first) // length >= _BLOCKS else None
        found = self._collect(sample, chosen, blocks)
        if sample.scheme.year:
            turned = sample.mirror()
            more = self._collect(turned, draws(turned, most_rows=s.rows, seed=s.seed), blocks)
            found = {kind: _join([rows, more[kind]]) if kind in more else rows for kind, rows in found.items()}
        return found

    def _collect(self, sample: Sample, chosen: list[Draw], blocks: int | None) -> dict[str, _Rows]:
        """Features and targets of all draws, by kind of demand; folds are blocks of so many periods, or sets of series."""
        found: dict[str, list[_Rows]] = {k: [] for k in _KINDS}
        forward = not sample.block.mirrored
        for s in stands(sample, chosen):
            use = s.usable if forward else s.usable & s.knows
            if not use.any():
                continue
            base = apply_coefficients(s.flat, s.terms, self.profile_.coefficients_)
            table = features_at(s.block, sample.pooled, sample.scheme, s.standing, s.draw.steps, flat=s.flat, terms=s.terms,
                                base=base, horizon=sample.horizon)
            self.names_, self.categorical_ = table.names, table.categorical
            last = last_years_value(s.flat, s.terms)
            slow = is_slow(s.standing.habits)
            habit = s.standing.habits
            scale = error_scale(base, habit.naive_error[:, None])
            if blocks:
                fold = np.broadcast_to(s.block.periods(s.draw.origin + s.draw.steps) // blocks % FOLDS, use.shape)
            else:
                fold = np.broadcast_to((s.draw.series * 7919 // 3 % FOLDS)[:, None], use.shape)
            for kind, member in (("steady", ~slow), ("slow", slow)):
                pick = use & member[:, None]
                row = np.nonzero(pick)[0]
                if len(row):
                    found[kind].append(_Rows(table.values[pick.reshape(-1)], s.truth[pick], base[pick], last[pick], scale[pick],
                                             habit.size[row], habit.naive_error[row], fold[pick], np.full(len(row), forward)))
        return {k: _join(v) for k, v in found.items() if v}

    def _fit_steady(self, rows: _Rows, *, settled: bool) -> None:
        target = np.clip((rows.truth - rows.base) / rows.scale, *_BOUNDS)
        weight = _weights(rows.scale / rows.naive) * np.where(rows.forward, 1.0, MIRRORED)
        unseen = np.zeros(len(target))
        for seed, (kind, (objective, share, trees)) in enumerate(FAMILIES.items()):
            full = SIZES[self.settings.effort]
            size = _Size(0, round(trees * full.trees), full.leaves, full.rate)
            self.trees_[kind], said = self._train(rows.x, target, weight, rows.fold, objective=objective, size=size, seed=seed)
            unseen += share * said
        real = rows.forward  # errors count where time ran as it does
        losses = [float(np.average(np.abs(target - a * unseen)[real], weights=weight[real])) for a in _TRUST]
        self.trust_["steady"] = self._share(losses, least=LEAST_TRUST)
        left = target - self._with_last_year(self.trust_["steady"] * unseen, rows.base, rows.last_year, rows.scale)
        size = np.log(np.abs(left) + 0.01)
        small = _Size(0, 80, 15, 0.1)
        self.trees_["spread"], unseen_size = self._train(rows.x, size, weight, rows.fold, objective="regression", size=small)
        knows = real & np.isfinite(rows.last_year)
        told = knows if settled and knows.sum() >= ENOUGH_ROWS else real
        left, unseen_size, weight = left[told], unseen_size[told], weight[told]
        self.usual_size_ = float(np.average(unseen_size, weights=weight))
        costs = [_laplace_loss(left, self._spread(unseen_size, share), weight) for share in _TRUST]
        self.trust_["spread"] = float(_TRUST[int(np.argmin(costs))])
        spread = self._spread(unseen_size, self.trust_["spread"])
        self.steady_ = SteadyShape.learn(left / spread, spread, weight)

    def _with_last_year(self, correction: np.ndarray, base: np.ndarray, last_year: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The trees' correction drawn towards what the series itself sold a year ago, where series do again what they did.

        Trees and profile both shrink what one series did; where that repeats, they shrink it too much. The share is the square of
        `repeats`: a quarter where half repeats, nothing where nothing does.
        """
        share = repeats(self.profile_.coefficients_) ** 2
        return drawn_towards(correction, np.clip((last_year - base) / scale, *_BOUNDS), share)

    def _spread(self, size: np.ndarray, share: float) -> np.ndarray:
        """Size of errors: what the trees say, drawn towards the usual size by as much as they go too far."""
        return np.exp(self.usual_size_ + share * (size - self.usual_size_))

    def _share(self, losses: Sequence[float], *, least: float) -> float:
        """The share of the trees' correction: the one asked for, else the one of the least loss, but not below `least`."""
        if self.settings.trust is not None:
            return self.settings.trust
        return max(float(_TRUST[int(np.argmin(losses))]), least)

    def _fit_slow(self, rows: _Rows) -> None:
        ratio = np.clip(np.maximum(rows.truth, 0) / rows.base, 0, 50)
        weight = _weights(rows.base / rows.naive) * np.where(rows.forward, 1.0, MIRRORED)
        self.trees_["slow"], unseen = self._train(rows.x, ratio, weight, rows.fold, objective="poisson")
        real = rows.forward
        losses = [_poisson_loss(ratio[real], 1 + a * (unseen[real] - 1), weight[real]) for a in _TRUST]
        self.trust_["slow"] = self._share(losses, least=0.0)
        expected = np.maximum((1 + self.trust_["slow"] * (unseen[real] - 1)) * rows.base[real], TINY)
        self.slow_ = SlowShape.learn(np.maximum(rows.truth[real], 0), expected, rows.size[real])

    def _train(self, x: np.ndarray, target: np.ndarray, weight: np.ndarray, fold: np.ndarray, *, objective: str,
               size: _Size | None = None, seed: int = 0) -> tuple[list[lgb.Booster], np.ndarray]:
        """Models that each leave out a fold, and what they say of the rows they have not seen."""
        size = size or SIZES[self.settings.effort]
        parameters = {
            "objective": objective, "learning_rate": size.rate, "num_leaves": size.leaves, "feature_fraction": 0.6,
            "min_data_in_leaf": int(np.clip(len(target) // 500, 20, 200)), "bagging_fraction": 0.7, "bagging_freq": 1,
            "lambda_l2": 1.0, "max_bin": 127, "verbose": -1, "deterministic": True, "force_row_wise": True,
            "num_threads": self.settings.threads if len(target) >= FEW_ROWS else 1,
            "seed": self.settings.seed + 1_000 * seed, "max_cat_threshold": 16, "cat_smooth": 20.0,
        }
        data = lgb.Dataset(x, target, weight=weight, feature_name=_plain(self.names_),
                           categorical_feature=[i for i, n in enumerate(self.names_) if n in self.categorical_],
                           params=parameters, free_raw_data=False).construct()
        models, unseen = [], np.zeros(len(target))
        for f in range(FOLDS):
            parameters["feature_contri"] = [0.0 if f % 2 and n in SEASONAL else 1.0 for n in self.names_]
            rest, out = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
            model = lgb.train(parameters, data.subset(rest.tolist()), num_boost_round=size.trees)
            models.append(model)
            if len(out):
                unseen[out] = model.predict(x[out], num_threads=parameters["num_threads"])
        return models, unseen

    # -- forecasting ------------------------------------------------------------------------------------------------

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series of the panel, a run of series at a time."""
        require_fitted(self, "boosting_")
        if not self.boosting_:
            return self.profile_.predict(panel, horizon=horizon, levels=levels)
        checked = check_levels(levels)
        require_future(panel, check_horizon(horizon))
        quantiles, means = [], []
        context = self.profile_.scheme_.rhythm.context
        for chunk in panel.chunks(chunk_size(context + horizon, horizon)):
            block = make_block(chunk, self.profile_.scheme_, context=context, horizon=horizon, keys=self.profile_.pooled_.keys)
            q, mean = self._predict_block(block, horizon, checked)
            quantiles.append(q)
            means.append(mean)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, checked,
                        np.concatenate(quantiles), np.concatenate(means))

    def _predict_block(self, block: Block, horizon: int, levels: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        profile = self.profile_
        steps = np.arange(1, horizon + 1)
        standing = stand(block, profile.pooled_, profile.scheme_.rhythm, block.sales.shape[1] - 1)
        flat, terms = base_terms(block, profile.pooled_, profile.scheme_, standing, steps)
        base = apply_coefficients(flat, terms, profile.coefficients_)
        x = features_at(block, profile.pooled_, profile.scheme_, standing, steps, flat=flat, terms=terms, base=base,
                        horizon=horizon).values
        n, h = base.shape
        slow = np.repeat(is_slow(standing.habits), h)
        if self.only_ is not None:
            slow[:] = self.only_ == "slow"
        quantiles, mean = np.zeros((n * h, len(levels))), np.zeros(n * h)
        flat_base, calm = base.reshape(-1), ~slow
        if calm.any():
            scale = error_scale(base, standing.habits.naive_error[:, None]).reshape(-1)[calm]
            said = np.sum([share * self._average(kind, x[calm]) for kind, (_, share, _) in FAMILIES.items()], axis=0)
            last = last_years_value(flat, terms).reshape(-1)[calm]
            middle = flat_base[calm] + scale * self._with_last_year(self.trust_["steady"] * said, flat_base[calm], last, scale)
            spread = self._spread(self._average("spread", x[calm]), self.trust_["spread"])
            shape, centre = self.steady_.at(spread, levels)
            quantiles[calm] = middle[:, None] + (scale * spread)[:, None] * shape
            mean[calm] = middle + scale * spread * centre
        if slow.any():
            expected = np.maximum(flat_base[slow] * (1 + self.trust_["slow"] * (self._average("slow", x[slow]) - 1)), TINY)
            quantiles[slow] = self.slow_.at(expected, np.repeat(standing.habits.size, h)[slow], levels)
            mean[slow] = expected
        return finish(quantiles.reshape(n, h, -1), mean.reshape(n, h), block.closed[:, -h:], negative=profile.net_of_returns_)

    def _average(self, kind: str, x: np.ndarray) -> np.ndarray:
        """(R,): the mean of what the folds' models say."""
        threads = self.settings.threads if len(x) >= FEW_ROWS else 1
        said = [np.asarray(m.predict(x, num_threads=threads)) for m in self.trees_[kind]]
        return np.mean(said, axis=0)

    # -- saving -----------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write LightGBM's text models, arrays and settings into a folder."""
        require_fitted(self, "boosting_")
        self.profile_.save(folder)
        for kind, models in self.trees_.items():
            for i, model in enumerate(models):
                model.save_model(str(folder / _file(kind, i)))
        arrays: dict[str, np.ndarray] = {}
        if "steady" in self.trees_:
            arrays |= {"edges": self.steady_.edges, "values": self.steady_.values, "means": self.steady_.means}
        if "slow" in self.trees_:
            arrays |= {"knots": self.slow_.knots, "slow": self.slow_.values}
        np.savez_compressed(folder / "boosted.npz", **arrays)  # type: ignore[arg-type]
        about: dict[str, Any] = {
            "format": _FORMAT, "settings": asdict(self.settings), "horizon": self.horizon_, "boosting": self.boosting_,
            "reason": self.reason_, "trees": {k: len(v) for k, v in self.trees_.items()}, "only": self.only_,
            "names": list(self.names_), "trust": self.trust_, "usual_size": getattr(self, "usual_size_", None),
        }
        (folder / "boosted.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            about = json.loads((folder / "boosted.json").read_text(encoding="utf-8"))
            if about["format"] != _FORMAT:
                raise WeightsError(f"The model in {str(folder)!r} was written by another version of shelfcast; fit it again.")
            model = cls(BoostedSettings(**about["settings"]))
            model.profile_ = Profile.load(folder)
            model.horizon_, model.boosting_, model.reason_ = about["horizon"], about["boosting"], about["reason"]
            model.only_, model.names_ = about["only"], tuple(about["names"])
            model.trust_ = about["trust"]
            if about["usual_size"] is not None:
                model.usual_size_ = about["usual_size"]
            model.trees_ = {kind: [lgb.Booster(model_file=str(folder / _file(kind, i))) for i in range(count)]
                            for kind, count in about["trees"].items()}
            with np.load(folder / "boosted.npz", allow_pickle=False) as arrays:
                if "steady" in model.trees_:
                    model.steady_ = SteadyShape(arrays["edges"], arrays["values"], arrays["means"])
                if "slow" in model.trees_:
                    model.slow_ = SlowShape(arrays["knots"], arrays["slow"])
        except (OSError, ValueError, KeyError, TypeError, lgb.basic.LightGBMError) as error:
            raise WeightsError(f"{str(folder)!r} holds no boosted model that can be read; fit it and save it again.") from error
        return model


def _join(parts: list[_Rows]) -> _Rows:
    return _Rows(*(np.concatenate([getattr(r, f) for r in parts]) for f in _Rows.__dataclass_fields__))


def _weights(value: np.ndarray) -> np.ndarray:
    """Bounded to a factor of 20 around the middle and of mean 1, so that no series rules."""
    middle = np.median(value)
    out = np.clip(value, middle / 20, middle * 20)
    return out / out.mean()


def _laplace_loss(error: np.ndarray, spread: np.ndarray, weight: np.ndarray) -> float:
    """Weighted log score of errors under a Laplace law of these spreads, at the best common factor."""
    return float(np.average(np.log(spread), weights=weight) + np.log(np.average(np.abs(error) / spread, weights=weight)))


def _poisson_loss(ratio: np.ndarray, expected: np.ndarray, weight: np.ndarray) -> float:
    """Weighted Poisson deviance, less what does not depend on the expectation."""
    expected = np.maximum(expected, 1e-6)
    return float(np.average(expected - ratio * np.log(expected), weights=weight))


def _file(kind: str, number: int) -> str:
    return f"trees-{kind.replace(' ', '-')}-{number}.txt"


def _plain(names: Sequence[str]) -> list[str]:
    """LightGBM's text format takes no blanks or signs in names."""
    return [f"f{i}" for i in range(len(names))]
