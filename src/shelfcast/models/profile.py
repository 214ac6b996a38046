"""Profile: level x effects of weekday and promotion x last year's shape, each shrunk by its noise.

The forecast of series i for period t, standing at origin o, is

    level_i(o) x effect_i(cell of t) x exp(b . terms_i(o, t)),

a level that forgets slowly, the effect of the target's cell (weekday x promotion, or whatever known flags matter), and a few
logarithms: how recent levels differ from the slow one, and how the period a year ago stood against its own surroundings, for
the series, its item, its place and all together. The coefficients b are fitted by Poisson quasi-likelihood, pulled
towards sensible values, so that one season's history, or one day's, still gives a forecast. Quantiles come from pooled past
errors. It never fails to fit; it is the base that `boosted` corrects.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from zipfile import BadZipFile

import numpy as np

from shelfcast.errors import SettingsError, WeightsError
from shelfcast.features.block import Block, make_block
from shelfcast.features.history import TINY, Habits
from shelfcast.features.pooled import Pooled
from shelfcast.features.scheme import Scheme
from shelfcast.features.table import BASE_TERMS, base_terms, stand
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.models.base import Traits, require_future
from shelfcast.models.boosted_rows import MOST_PARTS, Sample, draw_sample, draws, stands
from shelfcast.models.quantiles import SlowShape, SteadyShape
from shelfcast.names import LEVELS
from shelfcast.panel import SalesPanel

SLOW = 0.1  # share of periods without a sale from which a series counts as slow
NAIVE_SHARE = 0.5  # of the naive error that joins the base in the scale of errors, so that small bases do not blow errors up
# Coefficients without evidence, in the order of BASE_TERMS: last year's shape counts whole, a fifth of growth does not last.
_PRIOR = np.array([0.7, 0.3, 0.3, 0.4, 0.1, 0.2, 0.0, 0.0, 0.0, 0.0, -0.2, 0.1, 0.0])
_OWN, _MIDDLE, _GROWTH = (BASE_TERMS.index(n) for n in ("own year ago", "middle/long", "own growth"))
_PRIOR_ROWS = 200.0  # rows of evidence that they are worth
ENOUGH_ROWS = 2_000  # past forecasts that know last year, from which on those that do not are left out
_SHARES = np.linspace(0, 0.8, 9)  # of last year's value that are tried
_FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class ProfileSettings:
    """How the profile learns.

    Attributes
    ----------
    seed : of the draw of rows
    max_rows : past forecasts that coefficients and errors are learned from
    max_series : series that these are drawn from
    horizon : periods ahead that errors are learned for; as far as known covariates reach when None
    country : two letters, for public holidays; none when None
    """

    seed: int = 0
    max_rows: int = 60_000
    max_series: int = 3_000
    horizon: int | None = None
    country: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_rows", "max_series"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.horizon is not None and self.horizon < 1:
            raise SettingsError(f"horizon is {self.horizon}; it must be at least 1 period.")


class Profile:
    """Shrunk profile x level. See the file's docstring."""

    traits = Traits(name="profile", summary="shrunk profile x level: weekday, promotion and last year's shape, pooled errors",
                    uses_known=True)

    def __init__(self, settings: ProfileSettings = ProfileSettings()) -> None:
        self.settings = settings

    def fit(self, panel: SalesPanel) -> Self:
        """Learn pooled effects, coefficients and errors from a panel's history."""
        s = self.settings
        return self.fit_sample(draw_sample(panel, horizon=s.horizon, most_series=s.max_series, seed=s.seed, country=s.country),
                               net_of_returns=panel.net_of_returns)

    def fit_sample(self, sample: Sample, *, net_of_returns: bool, most_parts: int = MOST_PARTS) -> Self:
        """Learn from a sample that has been drawn already (the booster draws its own, larger one); fewer parts are quicker."""
        self.scheme_: Scheme = sample.scheme
        self.pooled_: Pooled = sample.pooled
        self.net_of_returns_ = net_of_returns
        names = ("truth", "flat", "terms", "noise", "naive", "zeros", "size", "met")
        first_met = sample.first_met()
        columns: dict[str, list[np.ndarray]] = {k: [] for k in names}
        for s in stands(sample, draws(sample, most_rows=self.settings.max_rows, seed=self.settings.seed,
                                     most_parts=most_parts)):
            use = s.usable
            row = np.nonzero(use)[0]
            h = s.standing.habits
            met = first_met[s.block.cells[:, s.draw.origin + s.draw.steps]] <= s.draw.origin
            for name, values in (("truth", s.truth[use]), ("flat", s.flat[use]), ("terms", s.terms[use]),
                                 ("noise", s.standing.noise[row]), ("naive", h.naive_error[row]), ("zeros", h.zeros_recent[row]),
                                 ("size", h.size[row]), ("met", met[use])):
                columns[name].append(values)
        rows = {k: np.concatenate(v) if v else np.empty((0, len(BASE_TERMS)) if k == "terms" else 0) for k, v in columns.items()}
        # What a first Saturday sold, forecast by somebody who had never seen one, says nothing about levels and years.
        met = rows["met"].astype(bool)
        learned = {k: v[met] for k, v in rows.items()}
        product = _fit_coefficients(learned["truth"], learned["flat"], learned["terms"], learned["noise"])
        self.coefficients_ = _with_last_year(product, learned)
        base = apply_coefficients(rows["flat"], rows["terms"], self.coefficients_)
        slow = rows["zeros"] > SLOW
        spread = base_spread(rows["noise"])
        scale = error_scale(base, rows["naive"])
        errors = (rows["truth"] - base) / (scale * spread)
        knows = np.isfinite(rows["terms"][:, _OWN])
        calm = ~slow & knows if sample.settled and (~slow & knows).sum() >= ENOUGH_ROWS else ~slow
        self.steady_ = SteadyShape.learn(errors[calm], spread[calm], np.ones(int(calm.sum())))
        self.slow_ = SlowShape.learn(np.maximum(rows["truth"][slow], 0), base[slow], rows["size"][slow])
        return self

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series of the panel."""
        require_fitted(self, "scheme_")
        checked = check_levels(levels)
        require_future(panel, check_horizon(horizon))
        quantiles, means = [], []
        context = self.scheme_.rhythm.context
        for chunk in panel.chunks(chunk_size(context + horizon)):
            block = make_block(chunk, self.scheme_, context=context, horizon=horizon, keys=self.pooled_.keys)
            q, mean = self._predict_block(block, horizon, checked)
            quantiles.append(q)
            means.append(mean)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, checked,
                        np.concatenate(quantiles), np.concatenate(means))

    def _predict_block(self, block: Block, horizon: int, levels: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        steps = np.arange(1, horizon + 1)
        standing = stand(block, self.pooled_, self.scheme_.rhythm, block.sales.shape[1] - 1)
        flat, terms = base_terms(block, self.pooled_, self.scheme_, standing, steps)
        base = apply_coefficients(flat, terms, self.coefficients_)
        h = base.shape[1]
        quantiles, mean = self.spread_around(base, standing.noise, standing.habits, levels)
        return finish(quantiles, mean, block.closed[:, -h:], negative=self.net_of_returns_)

    def spread_around(self, base: np.ndarray, noise: np.ndarray, habits: Habits,
                      levels: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """Quantiles (N, H, Q) and mean (N, H), units, around forecasts (N, H) of series with such a noise (N,) and habits.

        As errors of the panel's past forecasts lay; neither ordered nor kept at or above zero yet.
        """
        n, h = base.shape
        spread = np.repeat(base_spread(noise), h)
        shape, middle = self.steady_.at(spread, levels)
        wide = (error_scale(base, habits.naive_error[:, None]).reshape(-1) * spread)
        quantiles = base.reshape(-1)[:, None] + wide[:, None] * shape
        mean = base.reshape(-1) + wide * middle
        slow = np.repeat(is_slow(habits), h)
        if slow.any():
            size = np.repeat(habits.size, h)[slow]
            quantiles[slow] = self.slow_.at(base.reshape(-1)[slow], size, levels)
            mean[slow] = base.reshape(-1)[slow]
        return quantiles.reshape(n, h, -1), mean.reshape(n, h)

    def save(self, folder: Path) -> None:
        """Write arrays, tables and settings into a folder."""
        require_fitted(self, "scheme_")
        self.pooled_.save(folder)
        np.savez_compressed(folder / "profile.npz", coefficients=self.coefficients_, edges=self.steady_.edges,
                            values=self.steady_.values, means=self.steady_.means, knots=self.slow_.knots, slow=self.slow_.values)
        about = {"format": _FORMAT, "settings": asdict(self.settings), "scheme": self.scheme_.as_json(),
                 "net_of_returns": self.net_of_returns_}
        (folder / "profile.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            about = json.loads((folder / "profile.json").read_text(encoding="utf-8"))
            if about["format"] != _FORMAT:
                raise WeightsError(f"The profile in {str(folder)!r} was written by another version of shelfcast; fit it again.")
            model = cls(ProfileSettings(**about["settings"]))
            model.scheme_ = Scheme.from_json(about["scheme"])
            model.net_of_returns_ = about["net_of_returns"]
            model.pooled_ = Pooled.load(folder)
            with (folder / "profile.npz").open("rb") as raw, np.load(raw, allow_pickle=False) as arrays:
                model.coefficients_ = arrays["coefficients"]
                model.steady_ = SteadyShape(arrays["edges"], arrays["values"], arrays["means"])
                model.slow_ = SlowShape(arrays["knots"], arrays["slow"])
        except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise WeightsError(f"{str(folder)!r} holds no profile that can be read; fit it and save it again.") from error
        return model


def require_fitted(model: object, learned: str) -> None:
    """Refuse to forecast or save before fit."""
    if not hasattr(model, learned):
        raise SettingsError("The model has learned nothing yet: call fit(panel) first, or load a saved one.")


def chunk_size(width: int, rows: int = 0) -> int:
    """Series to hold at once: some two million cells of history, and some 200,000 rows of features."""
    return max(1, min(2_000_000 // width, 200_000 // rows if rows else 1_000_000))


def apply_coefficients(flat: np.ndarray, terms: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Profile forecast in units, the shape of `flat`; unknown terms count as no change.

    The last coefficient is the share of last year's own value, with half of the growth since: it keeps the peaks that a
    product of shrunk parts damps.
    """
    push = coefficients[0] + np.nan_to_num(terms) @ coefficients[1:-1]
    product = flat * np.exp(np.clip(push, -3.0, 3.0))
    share = coefficients[-1]
    if share > 0:
        product = drawn_towards(product, last_years_value(flat, terms), share)
    return np.maximum(product, TINY)


def drawn_towards(value: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """`value` with a share of `other`, where that is known."""
    return np.where(np.isfinite(other), (1 - share) * value + share * np.nan_to_num(other), value)


def last_years_value(flat: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """What the series itself sold a year ago, with half of its growth since; nan where not known."""
    return flat * np.exp(np.clip(terms[..., _OWN] + terms[..., _MIDDLE] - 0.5 * terms[..., _GROWTH], -3.0, 3.0))


def repeats(coefficients: np.ndarray) -> float:
    """How much of what a series alone did a year ago it does again, 0 to 1: the coefficient of its own last year."""
    return float(np.clip(coefficients[1 + _OWN], 0.0, 1.0))


def base_spread(noise: np.ndarray) -> np.ndarray:
    """Relative spread expected from a series' own noise."""
    return np.sqrt(np.minimum(noise, 25.0) + 1e-4)


def error_scale(base: np.ndarray, naive_error: np.ndarray) -> np.ndarray:
    """Units in which errors are alike: the base where sales are calm, the naive error where they are wild."""
    return np.sqrt(base**2 + (NAIVE_SHARE * naive_error) ** 2)


def is_slow(habits: Habits) -> np.ndarray:
    """bool (N,): a series with many periods without a sale."""
    return habits.zeros_recent > SLOW


def finish(quantiles: np.ndarray, mean: np.ndarray, closed: np.ndarray, *, negative: bool) -> tuple[np.ndarray, np.ndarray]:
    """Order the quantiles, keep them at or above 0 unless returns count, and write 0 where closed."""
    if not negative:
        quantiles, mean = np.maximum(quantiles, 0.0), np.maximum(mean, 0.0)
    quantiles = np.maximum.accumulate(quantiles, axis=2)
    quantiles[closed], mean[closed] = 0.0, 0.0
    return quantiles, mean


def _with_last_year(product: np.ndarray, rows: dict[str, np.ndarray]) -> np.ndarray:
    """The coefficients with the share of last year's value that made past forecasts best, by scaled absolute error."""
    known = np.isfinite(rows["terms"][:, _OWN])
    if known.sum() < ENOUGH_ROWS:
        return np.append(product, 0.0)
    truth, flat, terms = rows["truth"][known], rows["flat"][known], rows["terms"][known]
    weight = 1 / rows["naive"][known]
    weight = np.minimum(weight, 20 * np.median(weight))  # scaled errors of almost constant series shall not rule
    losses = [float((weight * np.abs(truth - apply_coefficients(flat, terms, np.append(product, s)))).sum()) for s in _SHARES]
    return np.append(product, _SHARES[int(np.argmin(losses))])


def _fit_coefficients(truth: np.ndarray, flat: np.ndarray, terms: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Intercept and coefficients by weighted Poisson quasi-likelihood, Newton's method, pulled towards `_PRIOR`.

    Each row weighs by how exactly it can be foreseen (one over noise), so that all series count alike.
    """
    with_year = np.isfinite(terms[:, BASE_TERMS.index("all year ago")])
    if with_year.sum() >= ENOUGH_ROWS:  # the forecast will know last year: learn where it was known too
        truth, flat, terms, noise = truth[with_year], flat[with_year], terms[with_year], noise[with_year]
    x = np.column_stack([np.ones(len(truth)), np.nan_to_num(terms)])
    prior = np.concatenate([[0.0], _PRIOR])
    if not len(truth):
        return prior
    weight = 1.0 / (noise + 0.05)
    weight /= weight.mean()
    ratio = np.clip(np.maximum(truth, 0) / np.maximum(flat, TINY), 0, 10.0)
    pull = _PRIOR_ROWS * np.diag(np.concatenate([[1.0], np.full(len(_PRIOR), 0.05)]))
    b = prior.copy()
    for _ in range(12):
        expected = np.exp(np.clip(x @ b, -3, 3))
        gradient = x.T @ (weight * (ratio - expected)) - pull @ (b - prior)
        curvature = (x * (weight * expected)[:, None]).T @ x + pull
        step = np.linalg.solve(curvature, gradient)
        b = b + np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-5:
            break
    return b
