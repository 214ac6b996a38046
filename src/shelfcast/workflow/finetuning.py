"""Fine-tune: let the pretrained network learn from one's own sales, with what that is worth before and after.

    RUN/
      weights/         the network, for --model pretrained --set weights=RUN/weights
      model/           a saved model, for `shelfcast forecast SALES --model RUN`; of several sales each has its own, in NAME/model
      scores.csv       each measure before and after
      training.html    the page; history.csv: loss by step, as a share of zero-shot's
      settings.toml, manifest.json

While it trains, RUN.partial holds what is needed to go on. Of each panel the last window is neither learned from nor looked at by
early stopping, where the history is long enough for that; where it is not, the scores are those of the window that stopped it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

import shelfcast
from shelfcast.adjust.saving import save_forecaster
from shelfcast.data.split import cut, windows
from shelfcast.errors import MissingExtraError, SettingsError, UnknownNameError, masked, printable, shorten_path
from shelfcast.evaluate.backtest import measure
from shelfcast.evaluate.replay import scored_part, still_sold
from shelfcast.files import check_folder, whole_file, whole_folder
from shelfcast.models.pretrained import Pretrained, PretrainedSettings, read_weights
from shelfcast.names import LEVELS
from shelfcast.nn.callbacks import HISTORY
from shelfcast.operate.runs import MANIFEST, MODEL, code_hash, write_tables
from shelfcast.operate.taken import LOCK, refuse_taken, remove_taken, taken
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, Silent
from shelfcast.settings import FinetuneSettings, ForecastSettings, SalesSettings, as_json, to_toml
from shelfcast.show.training_page import write_training as write_page
from shelfcast.workflow.horizons import horizon_by_data, told_horizon
from shelfcast.workflow.preparing import Clock, Prepared, Say, manifest_of, prepare, rules, silent
from shelfcast.workflow.training import partial_folder

if TYPE_CHECKING:
    from shelfcast.models.finetuning import Adapted, AdaptSettings

MEASURES: Final = ("MSE", "MAE", "WAPE", "SQL", "WQL", "coverage 0.1-0.9")
WEIGHTS: Final = "weights"
PAGE: Final = "training.html"
MOST_SCORED: Final = 5_000  # series that the table is measured on, when there are more
_WORK: Final = "another fine-tuning for the same --run"
_ASKED: Final = "finetuning.json"  # marks a folder of trainings as ours


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """What a fine-tuning leaves.

    Attributes
    ----------
    summary : plain values for people and programs
    scores : one row for each panel and measure: sales, cutoff, unseen, measure, before, after
    run : the folder
    """

    summary: Mapping[str, Any]
    scores: pl.DataFrame
    run: Path


@dataclass(frozen=True)
class _Own:
    """Sales of the user's, ready to be learned from.

    Attributes
    ----------
    name : for people and for a folder
    asked, prepared : how they were read, and what came of it
    unseen : whether the last window is kept for the scores alone
    """

    name: str
    asked: ForecastSettings
    prepared: Prepared
    unseen: bool

    @property
    def panel(self) -> SalesPanel:
        return self.prepared.panel

    @property
    def learned(self) -> SalesPanel:
        """What is shown to the training, its validation included."""
        return cut(self.panel, self.panel.cutoff - self.asked.ahead) if self.unseen else self.panel


def finetune(settings: FinetuneSettings, *, command: str | None = None, say: Say = silent,
             progress: Progress | None = None) -> FinetuneResult:
    """Fine-tune the pretrained network on the user's sales, measure it before and after, and write the run folder.

    Parameters
    ----------
    command : that asked for it, for the card of the weights

    Raises
    ------
    DataError
        If sales cannot be read into a panel.
    SettingsError
        If a history is too short, or a setting is wrong; said before the work starts where it can be.
    WeightsError
        If there are no such weights, or they can forecast and not learn.
    MissingExtraError
        If PyTorch, or, for lora, peft, is not installed.
    """
    learning = _refuse_early(settings)
    clock, progress = Clock(), progress or Silent()
    own = [_own(settings, sales, name, learning, clock, say, progress) for sales, name in _named(settings)]
    partial = partial_folder(settings.run)
    with _kept(partial):
        with clock("learn"):
            adapted = _learn(own, learning, partial, say, progress)
        say(f"{adapted.told[0].upper()}{adapted.told[1:]}")
        with whole_folder(settings.run) as folder:
            (folder / WEIGHTS).mkdir()
            _finetuning().write_adapted(folder / WEIGHTS, adapted, command=command)
            chosen = [folder / WEIGHTS if _is_better(adapted, k) else None for k in range(len(own))]
            with clock("measure"):
                scores = pl.concat([_scores(one, weights, settings, say) for one, weights in zip(own, chosen, strict=True)])
            with clock("fit"):
                models = [_save(one, weights, folder if len(own) == 1 else folder / one.name, settings)
                          for one, weights in zip(own, chosen, strict=True)]
            summary = _summary(settings, own, adapted, scores)
            _write(folder, settings, own, adapted, scores, models[0], summary, clock)
    return FinetuneResult(summary=summary, scores=scores, run=settings.run)


# ---- before the work


def _refuse_early(settings: FinetuneSettings) -> "AdaptSettings":
    """What would fail in the end is said before the work starts; how the network is to learn."""
    rules(settings)
    check_folder(settings.run, marks=[MANIFEST])
    partial = partial_folder(settings.run)
    check_folder(partial, marks=[_ASKED, LOCK])
    refuse_taken(partial, work=_WORK)
    module = _finetuning()
    if settings.method == "lora":
        from importlib.util import find_spec

        if find_spec("peft") is None:
            raise MissingExtraError("Fine-tuning by low-rank updates (lora)", "adapt", "peft")
    given = {"method": settings.method, "weights": settings.weights, "seed": settings.seed}
    own = {k: v for k in ("steps", "patience", "rank") if (v := getattr(settings, k)) is not None}
    known = [f.name for f in fields(module.AdaptSettings)]
    for name in settings.options:
        if name not in known:
            raise UnknownNameError("setting of a fine-tuning", name, known)
        if name in {**given, **own}:
            raise SettingsError(f"{name} is not given by --set here: write --{name}.")
    module.refuse_unlearnable(read_weights(settings.weights))
    try:
        return module.AdaptSettings(**given, **own, **settings.options)
    except TypeError as error:
        raise SettingsError(f"A setting of --set is of the wrong kind ({error}); give numbers as numbers.") from error


def _finetuning() -> Any:
    """The module that trains, which brings PyTorch."""
    try:
        from shelfcast.models import finetuning
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("", "shelfcast"):
            raise
        raise MissingExtraError("Fine-tuning", "train", error.name or "torch") from error
    return finetuning


def _named(settings: FinetuneSettings) -> list[tuple[Any, str]]:
    """The sales, each with a name that no other has."""
    found: dict[str, Any] = {}
    for sales in (settings.sales, *settings.more):
        stem = Path(masked(str(sales))).name.partition(".")[0] if isinstance(sales, str | Path) and str(sales) != "-" else ""
        plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in stem)[:60] or "sales"
        name, number = plain, 2
        while name in found or name in (WEIGHTS, MODEL):
            name, number = f"{plain}-{number}", number + 1
        found[name] = sales
    return [(sales, name) for name, sales in found.items()]


def _own(settings: FinetuneSettings, sales: Any, name: str, learning: "AdaptSettings", clock: Clock, say: Say,
         progress: Progress) -> _Own:
    shared = {f.name: getattr(settings, f.name) for f in fields(SalesSettings) if f.name != "sales"}
    asked = ForecastSettings(**shared, sales=sales, horizon=settings.horizon, model="pretrained", seed=settings.seed,
                             backtest=False)
    prepared = prepare(asked, clock, say, progress)
    panel = prepared.panel
    if asked.horizon is None:
        horizon, why = horizon_by_data(panel)
        asked = replace(asked, horizon=horizon)
        say(told_horizon(panel, horizon, why))
    horizon = asked.ahead
    unseen: bool = _finetuning().has_room(panel, horizon, (learning.windows or 1) + 1)
    if not unseen:
        say(f"{name}: history has too few {panel.frequency.noun}s to keep a window of {horizon:,} for the scores alone: they "
            f"are of the window that early stopping looks at, and so a little too kind.")
    return _Own(name, asked, prepared, unseen)


# ---- the training, which may be killed


@contextmanager
def _kept(partial: Path) -> Iterator[None]:
    """Hold the folder beside the run until the block ends; it is removed when that ends well, or where nothing is worth keeping."""
    with taken(partial, work=_WORK):
        try:
            yield
        except BaseException:
            if not any(partial.glob("training-*/*.safetensors")):
                remove_taken(partial)
            raise
        remove_taken(partial)


def _learn(own: list[_Own], learning: "AdaptSettings", partial: Path, say: Say, progress: Progress) -> "Adapted":
    panels = [(one.learned, one.asked.ahead) for one in own]
    asked = {"sales": [[p.fingerprint(), h] for p, h in panels], "settings": asdict(learning), "shelfcast": shelfcast.__version__,
             "code": code_hash(), "weights": read_weights(learning.weights).card["files"]}
    folder = partial / f"training-{hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:12]}"
    if not folder.is_dir() and any(partial.glob("training-*/*.safetensors")):
        say(f"{shorten_path(partial)!r} holds an unfinished fine-tuning that was begun with something else. This one starts from "
            f"the beginning; the other is dropped when this one has ended.")
    with whole_file(partial / _ASKED) as out:
        out.write_text(json.dumps(asked, indent=2, default=str) + "\n", encoding="utf-8")
    folder.mkdir(exist_ok=True)
    begun = _steps(folder)
    if begun is not None:
        say(f"The fine-tuning that was begun before goes on from step {begun:,} of {learning.steps:,}.")
    try:
        found: Adapted = _finetuning().finetune(panels, learning, folder=folder, progress=progress)
    except KeyboardInterrupt:
        if (now := _steps(folder)) is not None:
            say(f"The fine-tuning up to step {now:,} of {learning.steps:,} is kept in {shorten_path(partial)!r}; the same command "
                f"goes on from there.")
        raise
    return found


def _steps(folder: Path) -> int | None:
    """Steps that a checkpoint has done; None where there is none."""
    from shelfcast.nn import checkpoint  # brings PyTorch

    path = folder / checkpoint.FILE
    return checkpoint.from_bytes(path.read_bytes(), origin=path).step if path.exists() else None


# ---- what it is worth


def _is_better(adapted: "Adapted", number: int) -> bool:
    """Whether a panel is forecast by what was learned: it must be better in the mean, and for the panel itself."""
    return adapted.better and adapted.after[number] < adapted.before[number]


def _model(panel: SalesPanel, weights: Path | str, horizon: int, settings: FinetuneSettings) -> Pretrained:
    context, country = settings.options.get("context"), settings.options.get("country")
    return Pretrained(PretrainedSettings(weights=str(weights), horizon=horizon, seed=settings.seed, context=context,
                                         country=country)).fit(panel)


def _scores(one: _Own, weights: Path | None, settings: FinetuneSettings, say: Say) -> pl.DataFrame:
    """Measures of the last window, before and after; the same twice where zero-shot is kept."""
    horizon = one.asked.ahead
    window = still_sold(next(windows(one.panel, horizon=horizon)))
    judged = scored_part(window, max_series=MOST_SCORED, seed=settings.seed)
    found: list[dict[str, float]] = []
    for which in (settings.weights, weights):
        if which is None:
            found.append(found[0])
            continue
        table = measure(judged, _model(window.past, which, horizon, settings), levels=LEVELS).scores
        rows = table.filter((pl.col("kind") == "all") & pl.col("metric").is_in(MEASURES)).select("metric", "value").rows()
        found.append(dict(rows))
    cutoff = str(one.panel.frequency.date(window.past.cutoff))
    say(f"{one.name}: measured on the {horizon:,} {one.panel.frequency.noun}s after {cutoff}, "
        + ("which neither the training nor its early stopping has seen." if one.unseen else "which early stopping has looked at."))
    pairs = [{"sales": one.name, "cutoff": cutoff, "unseen": one.unseen, "measure": m, "before": found[0].get(m),
              "after": found[1].get(m)} for m in MEASURES]
    return pl.DataFrame(pairs, schema_overrides={"before": pl.Float64, "after": pl.Float64})


def _save(one: _Own, weights: Path | None, folder: Path, settings: FinetuneSettings) -> Pretrained:
    """The model of a panel, with statistics of all its history."""
    folder.mkdir(exist_ok=True)
    model = _model(one.panel, weights or settings.weights, one.asked.ahead, settings)
    if weights is not None:  # a name that is there when the run is
        model.settings = replace(model.settings, weights=str(settings.run / WEIGHTS))
    save_forecaster(model, folder / MODEL, panel=one.panel)
    return model


# ---- what is left of it


def _summary(settings: FinetuneSettings, own: list[_Own], adapted: "Adapted", scores: pl.DataFrame) -> dict[str, Any]:
    windows_told = [{"sales": one.name, "series": len(one.panel), "horizon": one.asked.ahead, "frequency": str(one.panel.frequency),
                     "cutoff": scores.filter(pl.col("sales") == one.name)["cutoff"][0], "unseen": one.unseen,
                     "kept": "fine-tuned" if _is_better(adapted, k) else "zero-shot",
                     "validation": {"before": adapted.before[k], "after": adapted.after[k], "windows": adapted.windows[k]},
                     "scores": {r["measure"]: {"before": r["before"], "after": r["after"]}
                                for r in scores.filter(pl.col("sales") == one.name).iter_rows(named=True)}}
                    for k, one in enumerate(own)]
    notes = [f"{one['sales']}: what was learned is better in the mean over all sales, but not for these, so these keep zero-shot."
             for one in windows_told if adapted.better and one["kept"] == "zero-shot"]
    run = settings.run
    return {"verb": "finetune", "method": settings.method, "weights": str(settings.weights), "better": adapted.better,
            "told": adapted.told, "moved": adapted.moved, "steps": adapted.training.steps, "best_step": adapted.training.best_step,
            "stopped": adapted.training.stopped, "seconds": round(adapted.training.seconds, 1), "sales": windows_told,
            "notes": notes, "files": {"run": str(run), "weights": str(run / WEIGHTS), "page": str(run / PAGE)}}


def _write(folder: Path, settings: FinetuneSettings, own: list[_Own], adapted: "Adapted", scores: pl.DataFrame, model: Pretrained,
           summary: Mapping[str, Any], clock: Clock) -> None:
    first = own[0]
    manifest = manifest_of("finetune", first.asked, first.prepared, model, "fine-tuned on these sales", clock)
    manifest = replace(manifest, notes=(*manifest.notes, adapted.told, *summary["notes"]), models=tuple(summary["sales"]))
    write_tables(folder, {"scores": scores})
    rows = pl.DataFrame([asdict(row) for row in adapted.training.history], infer_schema_length=None)
    rows.write_csv(folder / HISTORY)
    facts = {"model": manifest.model, "weights before": str(settings.weights), "shelfcast": shelfcast.__version__,
             "hash of the code": code_hash(), "seed": str(settings.seed), "data fingerprint": manifest.fingerprint,
             "data until": manifest.cutoff, "frequency": manifest.frequency,
             "device": f"{manifest.device} ({manifest.why_device})",
             "seconds": ", ".join(f"{k} {v:.1f}" for k, v in manifest.seconds.items())}
    write_page(folder / PAGE, adapted.training, title=_title(settings), settings=asdict(adapted.settings), facts=facts,
               scores=scores, told=f"{adapted.told[0].upper()}{adapted.told[1:]} Losses are shares of zero-shot's: 1 is as before.")
    (folder / "settings.toml").write_text(to_toml(settings), encoding="utf-8")
    manifest.write(folder, settings=as_json(settings))


def _title(settings: FinetuneSettings) -> str:
    """What was learned from: the names of the files of sales."""
    return ", ".join(printable(Path(masked(str(sales))).name) if isinstance(sales, str | Path) and str(sales) != "-" else "sales"
                     for sales in (settings.sales, *settings.more))
