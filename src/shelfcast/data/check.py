"""Look at sales before anything is done with them, and say what was found in words a planner can act on.

Each kind of finding is a small registered piece in one of the files of checks/; here they get their view of the data and are asked
one after the other. Nothing is changed.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib import import_module
from typing import Final

from shelfcast.data.checks.view import View
from shelfcast.data.clean import CleanSettings, latest_day, settle
from shelfcast.data.cleaning.flaws import line_flaws
from shelfcast.data.cleaning.tally import canonical, survey_lines
from shelfcast.data.findings import KINDS, Finding, Findings
from shelfcast.data.lines import SalesLines
from shelfcast.data.split import cut, lines_until
from shelfcast.errors import DataError, shorten
from shelfcast.names import ITEM, LOCATION
from shelfcast.panel import SalesPanel
from shelfcast.progress import Progress, Silent, stage

_SILENT: Final = Silent()
_THREADS: Final = 2  # kinds at a time: numpy works outside the interpreter lock, and each holds some arrays of all rows
_ORDER: Final = ("lines", "names", "series", "levels", "covariates", "places")
for _part in _ORDER:
    import_module(f"shelfcast.data.checks.{_part}")  # each file registers its kinds


def check_sales(
    source: SalesLines | SalesPanel, *, horizon: int = 0, cutoff: date | None = None, progress: Progress = _SILENT
) -> Findings:
    """Everything that looks wrong, or is good to know, about lines or a panel.

    Parameters
    ----------
    source : what `read_sales` returned, or a panel
    horizon : periods that will be forecast: known covariates must cover them; 0 when not said
    cutoff : last day of history, as for cleaning
    """
    view, spoilt = _view(source, horizon, cutoff)
    found = [spoilt] if spoilt else []
    kinds = sorted(KINDS.values(), key=lambda k: _ORDER.index(k.looks_at))
    kinds = [k for k in kinds if k.looks_at == "lines" or view.panel is not None]
    view.prepare()
    with stage(progress, "checking", len(kinds)) as bar, ThreadPoolExecutor(_THREADS) as pool:
        for kind, answer in zip(kinds, pool.map(lambda k: k.look(view), kinds), strict=True):
            if answer is not None and answer.count:
                found.append(kind.finding(answer))
            bar.advance()
    return Findings(tuple(found), _source(source), _summary(view))


def _view(source: SalesLines | SalesPanel, horizon: int, cutoff: date | None) -> tuple[View, Finding | None]:
    today = latest_day(None, cutoff)
    if isinstance(source, SalesPanel):
        return View(today=today, horizon=horizon, panel=source if cutoff is None else cut(source, cutoff)), None
    settings = CleanSettings()
    try:
        settled = settle(source, settings=settings, cutoff=cutoff)
    except DataError as error:
        lines = source if cutoff is None else lines_until(source, cutoff)
        frame = canonical(lines)
        survey = survey_lines(frame, today=today, unify_names=True)
        view = View(
            today=today, horizon=horizon, lines=lines, frame=frame, survey=survey, flaws=line_flaws(survey.schema, today=today)
        )
        return view, Finding(
            "nothing_usable",
            "ERROR",
            f"of {survey.rows:,} rows can be used",
            0,
            survey.rows,
            "rows",
            "Without a clean panel there is nothing to forecast from.",
            f"not possible: {error}",
        )
    frame = canonical(settled.lines)
    view = View(
        today=today,
        horizon=horizon,
        lines=settled.lines,
        frame=frame,
        survey=settled.tally.survey,
        tally=settled.tally,
        span=settled.span,
        panel=settled.panel,
        absence=settled.absence,
        flaws=line_flaws(settled.tally.survey.schema, today=today),
    )
    return view, None


def _source(source: SalesLines | SalesPanel) -> str:
    return source.source if isinstance(source, SalesLines) else "panel"


def _summary(view: View) -> str:
    panel, rows = view.panel, view.survey.rows if view.survey is not None else None
    if panel is None:
        return f"{rows:,} rows"
    start, end = panel.frequency.date(view.first_period), panel.frequency.date(panel.cutoff)
    height = panel.rows.height if rows is None else rows
    counted = f"{height:,} row{'s' * (height != 1)}"
    items, places = panel.series[ITEM].n_unique(), panel.series[LOCATION].n_unique()
    return (
        f"{counted} · {items:,} item{'s' * (items != 1)} · {places:,} location{'s' * (places != 1)} · "
        f"{panel.frequency.word}, {shorten(start, 19)} to {shorten(end, 19)}"
    )
