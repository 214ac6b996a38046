"""Chronos-Bolt and Chronos-2 of Amazon behind our protocol: networks that others trained, asked without any training of ours.

    weights                       reads                                       says at once
    Chronos-Bolt (Ansari 2024)    the series alone                            64 periods at 9 levels, 0.1 to 0.9
    Chronos-2 (Ansari 2025)       the series, known and past covariates       1,024 periods at 21 levels, 0.01 to 0.99

Both forecast each series by itself, from at most `context` periods of its past. The weights are a folder, or a name that the
package `chronos-forecasting` fetches from the hub; nothing is fetched unless a name is given.

What enters. Periods that nobody knows, or when the place was closed, are missing to the network; a closed period is forecast to be
exactly 0. Covariates that are texts become, for each series, the mean of what it sold under each text, shrunk by one observation
towards its mean, as the package does it. Static attributes and places do not enter. A series of which the context knows nothing
gets the seasonal naive forecast.

Levels. The networks say quantiles at levels of their own, which are put in order where they cross (Chernozhukov et al. 2010). A
level between two of these is read off a straight line between their normal scores; beyond the outermost level the line through
the last two goes on, so 0.99 of Bolt is an extrapolation from 0.8 and 0.9 and not something that the network has learned. (The
package itself repeats the outermost quantile there, which no order quantity should be built on.) Neither network says a mean; ours
is the mean of forty quantiles read off the same line. Quantiles below 0 are 0 unless sales are net of returns.

Beyond the periods that are said at once the package goes on from its own quantiles, nine times the work.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Self, get_args

import numpy as np

from shelfcast.data.opening import closed_ahead, demand_seen, opening_covariate
from shelfcast.errors import SettingsError, UnknownNameError, WeightsError, shorten
from shelfcast.forecast import Forecast, check_horizon, check_levels
from shelfcast.models.base import Traits, require_future
from shelfcast.models.chronos_weights import SEEN, announced_kind, open_pipeline, quietly
from shelfcast.models.naive import NaiveSettings, SeasonalNaive
from shelfcast.models.profile import finish, require_fitted
from shelfcast.models.quantiles import read_levels
from shelfcast.names import LEVELS
from shelfcast.panel import LARGEST, Dense, SalesPanel

Precision = Literal["float32", "bfloat16"]

_CONTEXT: Final = 2_048  # what both pipelines of the package take unless told otherwise
_CELLS: Final = 8_000_000  # of a dense view, 64 MB: bounds memory, changes no number
_PATHS: Final = 9  # quantiles from which the package goes on beyond what a network says at once
_MEAN_LEVELS: Final = tuple((k + 0.5) / 40 for k in range(40))
_POOL: Final = 2_000  # series from which the stand-in learns
_WEIGHTS: Final = "weights"


@dataclass(frozen=True, kw_only=True)
class ChronosSettings:
    """Which weights, and how they are run.

    Attributes
    ----------
    weights : a folder with config.json and model.safetensors, or a name on the hub such as amazon/chronos-2, which is then fetched
    context : periods of the past that are looked at; 2,048 when None
    batch : series that go through the network at once, each covariate counted as one more; with covariates it counts on other
        devices than the cpu alone, where one series at a time is as fast
    covariates : whether known and past covariates are shown to Chronos-2; Bolt takes none
    device : of PyTorch, such as cpu or cuda
    precision : of the network's arithmetic; bfloat16 is several times as fast where the processor has it, and three digits good
    threads : of PyTorch, for results are the same only for the same number
    """

    weights: str | None = None
    context: int | None = None
    batch: int = 64
    covariates: bool = True
    device: str = "cpu"
    precision: Precision = "float32"
    threads: int = 2

    def __post_init__(self) -> None:
        for name in ("context", "batch", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}; it must be at least 1.")
        if self.precision not in get_args(Precision):
            raise UnknownNameError("precision", str(self.precision), get_args(Precision), advice="It is the setting 'precision'.")
        if self.weights is not None and not self.weights.strip():
            raise SettingsError("weights is empty; give a folder, or a name on the hub such as amazon/chronos-bolt-tiny.")


class Chronos:
    """Chronos-Bolt or Chronos-2, as the weights are; see the top of this file.

    Attributes
    ----------
    pipeline_ : the package's pipeline
    naive_ : stands in for series of which the context knows nothing
    """

    def __init__(self, settings: ChronosSettings = ChronosSettings()) -> None:
        self.settings = settings
        kind = announced_kind(settings.weights)
        self.traits = _traits(kind, settings, seen=settings.weights is not None)

    def fit(self, panel: SalesPanel) -> Self:
        """Open the weights, and learn the stand-in; no weight changes."""
        if self.settings.weights is None:
            raise SettingsError("Chronos comes without weights. Give a folder that holds config.json and model.safetensors, or a "
                                "name on the hub that may be fetched: weights=amazon/chronos-bolt-tiny, weights=amazon/chronos-2.")
        self._open(self.settings.weights)
        self.naive_ = SeasonalNaive(NaiveSettings(max_series=_POOL)).fit(panel)
        return self

    def _open(self, weights: str) -> None:
        self.pipeline_, self.kind_ = open_pipeline(weights, device=self.settings.device, precision=self.settings.precision)
        self.traits = _traits(self.kind_, self.settings, seen=True)

    def predict(self, panel: SalesPanel, *, horizon: int, levels: Sequence[float] = LEVELS) -> Forecast:
        """Forecast every series for the `horizon` periods after the panel's cutoff."""
        require_fitted(self, "pipeline_")
        checked = check_levels(levels)
        check_horizon(horizon)
        if self.traits.uses_known:
            require_future(panel, horizon)
        past, known = self._covariates(panel, "past"), self._covariates(panel, "known")
        begun = panel.cutoff - int(panel.series["start"].min()) + 1  # type: ignore[arg-type]
        width = max(1, min(self.settings.context or _CONTEXT, self.pipeline_.model_context_length, begun))
        rows = 1 + len(past) + len(known)
        together = self._together(rows, horizon)
        size = max(1, _CELLS // ((width + horizon) * (rows + 1)) // together) * together
        quantiles, mean, at = np.empty((len(panel), horizon, len(checked))), np.empty((len(panel), horizon)), 0
        for part in panel.chunks(size):
            here = slice(at, at + len(part))
            wanted = tuple(dict.fromkeys((*past, *known, *opening_covariate(part))))
            dense = part.dense(context=width, horizon=horizon, covariates=wanted)
            sales = demand_seen(part, dense)
            rows_of = _rows(part, dense, sales, past=past, known=known, horizon=horizon)
            for start in range(0, len(part), together):
                some = slice(start, min(start + together, len(part)))
                said = self._run(*(r[some] for r in rows_of), past=len(past), together=together)  # (n, H, Q')
                quantiles[at + some.start: at + some.stop], mean[at + some.start: at + some.stop] = _read(
                    said, self.pipeline_.quantiles, checked, negative=part.net_of_returns)
            unknown = np.flatnonzero(~np.isfinite(sales).any(axis=1))
            if len(unknown):
                stand_in = self.naive_.predict(part.select(unknown), horizon=horizon, levels=checked)
                quantiles[at + unknown], mean[at + unknown] = stand_in.quantiles, stand_in.mean
            quantiles[here], mean[here] = finish(quantiles[here], mean[here], closed_ahead(part, dense, horizon),
                                                 negative=part.net_of_returns)
            at += len(part)
        return Forecast(panel.series.select("item", "location"), panel.frequency, panel.cutoff, checked, quantiles, mean)

    def _together(self, rows: int, horizon: int) -> int:
        """Series that go through the network at once, each with so many rows.

        Attention over series and covariates sums over all rows of a batch: a series' place in the batch moves its last digits. On a
        processor one series at a time is no slower (120M parameters, three covariates: 3.2 against 3.4 series a second in batches
        of four and 2.9 in batches of sixteen), so there it is alone.
        """
        if rows > 1 and self.settings.device == "cpu":
            return 1
        return max(1, self.settings.batch // (rows * (_PATHS if horizon > self.pipeline_.model_prediction_length else 1)))

    def _covariates(self, panel: SalesPanel, kind: str) -> tuple[str, ...]:
        """Covariates of a kind that the network is shown."""
        uses = self.traits.uses_known if kind == "known" else self.traits.uses_past
        return tuple(name for name, one in panel.covariates.items() if one == kind) if uses else ()

    def _run(self, context: np.ndarray, future: np.ndarray, *, past: int, together: int) -> np.ndarray:
        """What the network says, (n, H, Q'), units, for rows of series and covariates (n, 1 + C, T) and their future (n, 1 + C, H).

        A batch always has the same shape: short ones are filled with empty series, since sums in float32 end otherwise in another
        batch, and a forecast must not depend on who is asked beside it.
        """
        import torch

        count, horizon = len(context), future.shape[2]
        context, future = (np.concatenate([a, np.full((together - count, *a.shape[1:]), np.nan, dtype=np.float32)])
                           for a in (context, future))
        before = torch.get_num_threads()
        torch.set_num_threads(self.settings.threads)
        try:
            with warnings.catch_warnings():
                # That quality may suffer beyond what is said at once: the docs of this model say so.
                warnings.filterwarnings("ignore", message="We recommend keeping prediction length")
                if self.kind_ == "bolt":
                    said = self.pipeline_.predict(torch.from_numpy(context[:, 0]), prediction_length=horizon)  # (B, Q', H)
                else:
                    covariates = context.shape[1] - 1
                    tasks = [{"context": c, "future_covariates": f, "n_targets": 1, "n_covariates": covariates,
                              "n_future_covariates": covariates - past}
                             for c, f in zip(torch.from_numpy(context), torch.from_numpy(future), strict=True)]
                    said = torch.cat(self.pipeline_.predict(tasks, prediction_length=horizon, batch_size=context[..., 0].size,
                                                            context_length=context.shape[2]))
        finally:
            torch.set_num_threads(before)
        return np.swapaxes(said.numpy()[:count], 1, 2).astype(np.float64)

    def save(self, folder: Path) -> None:
        """Write settings, the weights themselves as safetensors, and the stand-in: the folder forecasts where it is taken."""
        require_fitted(self, "pipeline_")
        about = {"settings": asdict(self.settings)}
        (folder / "chronos.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        with quietly():
            self.pipeline_.model.save_pretrained(folder / _WEIGHTS)
        self.naive_.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            about = json.loads((folder / "chronos.json").read_text(encoding="utf-8"))
            model = cls(ChronosSettings(**about["settings"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{str(folder)!r} holds no Chronos model: {shorten(error)}.") from error
        model._open(str(folder / _WEIGHTS))
        model.naive_ = SeasonalNaive.load(folder)
        return model


def _traits(kind: str, settings: ChronosSettings, *, seen: bool) -> Traits:
    shown = settings.covariates and kind == "2"
    return Traits(name="chronos", summary="Chronos-Bolt or Chronos-2 of Amazon, weights from a folder or the hub, no training.",
                  uses_known=shown, uses_past=shown, extra="chronos", package="chronos",
                  trained_on=SEEN[kind] if seen else (), threads_decide=True)


def _rows(panel: SalesPanel, dense: Dense, sales: np.ndarray, *, past: Sequence[str], known: Sequence[str],
          horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """What the network is shown: the past (N, 1 + C, T) and the future (N, 1 + C, H), float32, nan where not known.

    Rows: sales, then past covariates, then known ones.
    """
    n, width = sales.shape
    categories = panel.categories
    context = np.full((n, 1 + len(past) + len(known), width), np.nan, dtype=np.float32)
    future = np.full((*context.shape[:2], horizon), np.nan, dtype=np.float32)
    context[:, 0] = sales
    most = np.sqrt(LARGEST)  # squares in float32 overflow beyond it
    for row, name in enumerate((*past, *known), start=1):
        values = dense.known[name] if name in known else dense.past[name]
        if name in categories:
            values = mean_by_category(values, sales, len(categories[name]))
        values = np.clip(values, -most, most)
        context[:, row] = values[:, :width]
        if name in known:
            future[:, row] = values[:, width:]
    return context, future


def mean_by_category(codes: np.ndarray, sales: np.ndarray, count: int) -> np.ndarray:
    """What each series sold on average under each text, shrunk by one observation towards its own mean.

    Parameters
    ----------
    codes : float (N, T) or (N, T + H), 0 to count - 1; nan where no text is known
    sales : float (N, T), units; nan where not known
    count : texts that there are

    Returns
    -------
    float, the shape of `codes`, units; nan where no text is known

    Examples
    --------
    >>> mean_by_category(np.array([[0.0, 1.0, 1.0, 0.0]]), np.array([[2.0, 8.0, 8.0]]), 2)
    array([[4.        , 7.33333333, 7.33333333, 4.        ]])
    """
    n, width = sales.shape
    seen = np.isfinite(sales)
    total = np.where(seen, sales, 0.0)
    usual = total.sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    told = np.isfinite(codes)
    slot = np.arange(n)[:, None] * count + np.where(told, codes, 0).astype(np.int64)
    both = seen & told[:, :width]
    sums = np.bincount(slot[:, :width][both], weights=total[both], minlength=n * count)
    numbers = np.bincount(slot[:, :width][both], minlength=n * count)
    means = (np.repeat(usual, count) + sums) / (1 + numbers)
    return np.where(told, means[slot], np.nan)


def _read(said: np.ndarray, have: Sequence[float], levels: Sequence[float], *, negative: bool) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles (n, H, Q) and means (n, H), units, from what the network said (n, H, Q') at its own levels."""
    floor = -np.inf if negative else 0.0
    ordered = np.sort(said, axis=2)
    quantiles = np.maximum(read_levels(ordered, have, levels), floor)
    return quantiles, np.maximum(read_levels(ordered, have, _MEAN_LEVELS), floor).mean(axis=2)
