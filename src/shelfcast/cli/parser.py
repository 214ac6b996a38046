"""The flags of the command line, and nothing but the flags: `docs/cli.md` is made from this."""

import argparse
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import shelfcast
from shelfcast.errors import SettingsError, UnknownNameError, shorten
from shelfcast.names import LEVELS, ROLES

EPILOG = """exit codes: 0 fine (findings may be told) | 1 the data: an ERROR finding for `check`, nothing could be written for
the rest | 2 wrong usage, or no such file | 3 an optional part is missing | 70 our bug | 130 interrupted"""

_BY_DATA = "as far as known covariates reach, or by frequency: 28 days, 13 weeks, 6 months"


class Parser(argparse.ArgumentParser):
    """Argparse that guesses what a mistyped flag meant, and never abbreviates.

    Attributes
    ----------
    rest : positional that takes any number, and may stand anywhere among the flags; argparse itself fills it at the first place
    """

    rest: str | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """What stands between or after flags belongs to the positional of `rest`, where the verb has one."""
        found, left = super().parse_known_args(args, namespace)
        if self.rest:
            setattr(found, self.rest, [*getattr(found, self.rest), *(one for one in left if one == "-" or one[:1] != "-")])
            left = [one for one in left if one != "-" and one[:1] == "-"]
        return found, left

    def error(self, message: str) -> NoReturn:
        """Wrong usage is answered with a hint, without the whole usage."""
        raise UsageError(self.prog, shorten(message, 300))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            raise UsageError(self.prog, str(UnknownNameError("verb", str(value), action.choices)))
        super()._check_value(action, value)


class UsageError(SettingsError):
    """The command line cannot be understood; `prog` is the command to ask for help."""

    def __init__(self, prog: str, message: str) -> None:
        super().__init__(message)
        self.prog = prog


def refuse_unknown(parser: argparse.ArgumentParser, verb: str, unknown: list[str]) -> NoReturn:
    """Name the first unknown argument and the flag that it resembles."""
    flags = [f for action in verb_parser(parser, verb)._actions for f in action.option_strings]
    near = get_close_matches(unknown[0].split("=")[0], flags, n=1)
    guess = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"shelfcast {verb}", f"{shorten(unknown[0])!r} is not known here.{guess}")


def refuse_mistyped(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Refuse the first long flag that the verb does not have, before a flag that it requires is missed."""
    if not arguments or arguments[0] not in verbs(parser):
        return
    known = {f for action in verb_parser(parser, arguments[0])._actions for f in action.option_strings}
    for one in arguments[1:]:
        if one == "--":
            return
        if one.startswith("--") and one.partition("=")[0] not in known:
            refuse_unknown(parser, arguments[0], [one])


def verb_parser(parser: argparse.ArgumentParser, verb: str) -> argparse.ArgumentParser:
    """The parser of one verb."""
    return verbs(parser)[verb]


def verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """{verb: its parser}, in the order of the help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def build() -> Parser:
    """The whole command line."""
    parser = Parser(prog="shelfcast", description=shelfcast.__doc__.splitlines()[0], epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"shelfcast {shelfcast.__version__}")
    sub = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    _demo(sub.add_parser("demo", help="simulate a chain of shops and run the whole path on it; no data, no network",
                         description="Simulate the demo chain, then check, clean, forecast, evaluate and report on it."))
    _check(sub.add_parser("check", help="findings about sales; changes nothing",
                          description="Say what is wrong or odd in sales, how much, where first, and what cleaning would do."))
    _clean(sub.add_parser("clean", help="write a clean panel, and what was changed",
                          description="Clean sales: each rule is logged, rejected rows are kept with their reason, the "
                                      "input is not touched."))
    _fit(sub.add_parser("fit", help="fit a model and keep it",
                        description="Fit a model and write it as a folder, for --model FOLDER."))
    _forecast(sub.add_parser("forecast", help="forecast every item at every place",
                             description="Read, check, clean, fit, score on the last window, forecast, report.\n\n"
                                         "Result: one row per item, location and future period: item, location, date, mean,\n"
                                         "q0.01 ... q0.99, sorted by item, location, date. Without --out a summary is printed."))
    _backtest(sub.add_parser("backtest", help="how good would forecasts of the past have been, model by model",
                             description="Replay windows of the past with several models, each learning from what came before\n"
                                         "the window alone, and score them on the same series and periods.\n\n"
                                         "Result: a table of models and measures, and a run folder with scores by window, class,\n"
                                         "place, step ..., the forecasts, and a page. A run that was killed goes on where it was."))
    _compare(sub.add_parser("compare", help="is one model really better than another: intervals over series and windows",
                            description="Compare the models of finished backtests, on the series and windows that all were\n"
                                        "measured on. Series and windows are drawn anew, all models alike; a model is called\n"
                                        "better only where the interval leaves zero out."))
    _tune(sub.add_parser("tune", help="search the settings under which a model forecasts best",
                         description="Search a model's settings: each trial is measured on windows of the past, as in a backtest.\n"
                                     "The defaults are the first trial, so the result is no worse than they are there. The last\n"
                                     "window is kept aside and only scored in the end. A tuning that was killed goes on where it\n"
                                     "was; one that ended goes on with a larger budget.\n\n"
                                     "Result: a folder with best.toml (for fit --set @FOLDER/best.toml), every trial, and a page."))
    _finetune(sub.add_parser("finetune", help="let the pretrained network learn from your own sales, where that helps",
                             description="Fine-tune the pretrained network on your own sales, and measure it before and after on\n"
                                         "a window that it has not seen. Where no step is better than zero-shot on windows that\n"
                                         "are held back, the weights stay as they were, and it is said. Several SALES are learned\n"
                                         "together. Killed and started again, the same command goes on from there.\n\n"
                                         "Result: a run folder for --model FOLDER, with the weights, the table, and a page."))
    _pretrain(sub.add_parser("pretrain", help="train weights for the model `pretrained` on simulated retailers",
                             description="Train a network on simulated retailers (no real sales), for --model pretrained\n"
                                         "--set weights=FOLDER. On a GPU where there is one, else on the processor.\n\n"
                                         "Result: a folder with the network, a card that says how it was made, and a page."))
    _compress(sub.add_parser("compress", help="make weights for the model `pretrained` smaller and faster, and measure both",
                             description="Compress weights: distil them into a smaller network, take units out, put matrix\n"
                                         "products into eight bits, in this order, whichever are asked for.\n\n"
                                         "Result: a folder of weights, for --model pretrained --set weights=FOLDER, and a table\n"
                                         "of size, speed, loss and calibration before and after, on simulated retailers."))
    models = sub.add_parser("models", help="list the models: what each uses, and whether it can run here",
                            description="List the models: what each uses and needs, and whether it can run here.")
    _json(models)
    doctor = sub.add_parser("doctor", help="what is installed, which device and why, where files go",
                            description="What is installed, which device and why, where files go.")
    _json(doctor)
    return parser


def _sales(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sales", metavar="SALES", help="file (CSV, Parquet, Excel, Arrow, JSON lines; compressed too), quoted "
                                                       "glob, folder, - for standard input, or a database address with --query; "
                                                       "a folder with a known data set's official files is read with all that "
                                                       "belongs to it")
    group = parser.add_argument_group("reading")
    group.add_argument("--columns", metavar="ROLE=NAME,...", action="append", default=[], type=_pairs,
                       help=f"which column plays which role ({', '.join(ROLES)}); others are recognised")
    group.add_argument("--freq", metavar="D|W|M|...", help="length of a period: h, D, W (W-FRI), M, Q, Y; default: what dates show")
    group.add_argument("--covariates", metavar="FILE", action="append", default=[],
                       help="more columns, joined on whichever of item, location and date the file has; may reach past the last "
                            "sale; repeatable")
    group.add_argument("--known", metavar="A,B", action="append", default=[], type=_names, help="covariates whose future is given")
    group.add_argument("--past", metavar="C", action="append", default=[], type=_names, help="covariates seen up to the cutoff")
    group.add_argument("--static", metavar="FILE", action="append", default=[],
                       help="attributes by item or location; repeatable")
    group.add_argument("--places", metavar="FILE", help="locations with latitude and longitude (also as lat, lon, store_lat ...)")
    group.add_argument("--query", metavar="SQL", help="what to read when SALES is a database address")
    group.add_argument("--cutoff", metavar="DATE", help="only rows up to this day are history; later ones give known covariates")
    group.add_argument("--absent", choices=["zero", "missing"],
                       help="what a period without a row means: nothing was sold (zero), or it is not known (missing); default: "
                            "what the data show")
    group.add_argument("--returns", choices=["apart", "net"], default="apart",
                       help="set returns apart (default), or subtract them: then sales and forecasts may be negative")


def _rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rule", metavar="NAME=HOW", action="append", default=[], type=_pairs, dest="rules",
                        help="how one rule of cleaning works: repeated=sum|last|mean|error, outliers=keep|cap, copies=keep|drop, "
                             "future=reject|keep, services=reject|keep, unreadable=reject|error; names, cancelled, "
                             "prices, partial, closed = true|false; repeatable")


def _talk(parser: argparse.ArgumentParser) -> None:
    _json(parser)
    parser.add_argument("--quiet", action="store_true", help="say nothing on standard error but errors")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="auto|NAME|FOLDER", default="auto",
                        help="a name of `shelfcast models`, auto (default), or the folder of a fitted model or of a run with "
                             "one, which keeps its horizon and its table of places")
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], type=_options, dest="options",
                        help="a setting of the model, or @FILE: those of a best.toml that `shelfcast tune` wrote; repeatable")
    _budget(parser)
    parser.add_argument("--seed", metavar="N", type=_whole, default=0, help="seed of everything random (0)")


def _budget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--budget", metavar="90s|5m|1h",
                        help="time that auto may take to fit, about; default: what the data ask for")


def _hierarchy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hierarchy", metavar="A,B,...", action="append", default=[], type=_names,
                       help="also forecast sums by these attributes of items and places (item and location are such, too) and by "
                            "their crosses, and make all add up; a run folder keeps a file for each level")
    parser.add_argument("--reconcile", choices=["auto", "none", "bottom_up", "top_down", "wls", "mint"],
                       help="how series and sums are made to add up: mint weighs by past errors, wls by the number of series, "
                            "top_down hands the total down, bottom_up sums; auto (default) tries them on windows of the past and "
                            "keeps the best; none leaves series and sums as they are")


def _check(parser: argparse.ArgumentParser) -> None:
    _sales(parser)
    parser.add_argument("--horizon", metavar="N", type=_whole, default=0,
                        help="also check that known covariates reach so many periods ahead")
    _talk(parser)


def _clean(parser: argparse.ArgumentParser) -> None:
    _sales(parser)
    _rules(parser)
    parser.add_argument("--out", metavar="FOLDER", required=True,
                        help="folder to write: panel/ (for SalesPanel.load), sales.parquet, changes.csv, rejected.csv")
    _talk(parser)


def _fit(parser: argparse.ArgumentParser) -> None:
    _sales(parser)
    _rules(parser)
    _model(parser)
    parser.add_argument("--horizon", metavar="N", type=_whole,
                        help=f"periods that the model will be asked for; default: {_BY_DATA}")
    parser.add_argument("--run", metavar="FOLDER", required=True,
                        help="run folder to write; the model is in it. While a network is trained, what is needed to go on lies in "
                             "FOLDER.partial: killed and started again, the same command goes on from there")
    _talk(parser)


def _forecast(parser: argparse.ArgumentParser) -> None:
    _sales(parser)
    _rules(parser)
    group = parser.add_argument_group("forecasting")
    group.add_argument("--horizon", metavar="N", type=_whole,
                       help=f"periods to forecast after the cutoff; default: as many as the model in a FOLDER learned, else "
                            f"{_BY_DATA}")
    _model(group)  # type: ignore[arg-type]
    group.add_argument("--levels", metavar="0.1,...", type=_levels, default=LEVELS,
                       help=f"quantile levels of the output ({', '.join(f'{q:g}' for q in LEVELS)})")
    group.add_argument("--no-backtest", action="store_true", help="do not score the model on a window of the past")
    _hierarchy(group)  # type: ignore[arg-type]
    group.add_argument("--overrides", metavar="FILE",
                       help="planners' adjustments: item, location, first, last, kind (value, factor, add, lock), amount, who, "
                            "when, why; the result is the overridden forecast, a run folder keeps the model's own beside it")
    group = parser.add_argument_group("results")
    group.add_argument("--out", metavar="FILE", help="forecast file to write: .parquet or .csv")
    group.add_argument("--run", metavar="FOLDER", help="run folder: forecast, scores, findings, model, settings, manifest, report")
    group.add_argument("--report", metavar="FILE.html", help="one self-contained page to open in a browser")
    group.add_argument("--cache", metavar="FOLDER",
                       help="folder of forecasts by content, at most 2 GB: what the same model forecast before from the same sales "
                            "is read there; the fit and the score are not kept. May be removed at any time (none)")
    _talk(parser)


def _backtest(parser: argparse.ArgumentParser) -> None:
    _sales(parser)
    _rules(parser)
    group = parser.add_argument_group("replaying")
    group.add_argument("--horizon", metavar="N", type=_whole, required=True, help="periods to forecast in each window")
    group.add_argument("--windows", metavar="K", type=_whole, default=3, help="windows of the past (3)")
    group.add_argument("--models", metavar="A,B", action="append", default=[], type=_names,
                       help="auto and names of `shelfcast models` (auto,naive); skill is over naive where it is among them")
    group.add_argument("--step", metavar="N", type=_whole, help="periods from one window to the next (the horizon)")
    group.add_argument("--refit", choices=["every", "once"], default="every",
                       help="fit anew in every window (default), or once, on what came before the oldest")
    group.add_argument("--own-ends", action="store_true",
                       help="each series ends with its own last known sale, and its windows are counted back from there")
    _hierarchy(group)  # type: ignore[arg-type]
    group.add_argument("--overrides", metavar="FILE",
                       help="planners' adjustments as for `forecast`: what had been written before a window is applied to each "
                            "model's forecast of it and scored beside it; the value they added is in value_added.csv")
    group.add_argument("--set", metavar="[MODEL.]NAME=VALUE", action="append", default=[], type=_pairs, dest="options",
                       help="a setting of one model, or of each that has it; repeatable")
    _budget(group)  # type: ignore[arg-type]
    group.add_argument("--seed", metavar="N", type=_whole, default=0, help="seed of everything random (0)")
    group.add_argument("--levels", metavar="0.1,...", type=_levels, default=LEVELS,
                       help=f"quantile levels to forecast and score ({', '.join(f'{q:g}' for q in LEVELS)})")
    group.add_argument("--max-series", metavar="N", type=_whole, default=20_000,
                       help="score a sample when there are more series; all of them teach (20000)")
    group.add_argument("--jobs", metavar="N", type=_whole, default=1,
                       help="processes at the same time, each with a copy of the sales; the numbers are the same (1)")
    group = parser.add_argument_group("results")
    group.add_argument("--metrics", metavar="SQL,WAPE,...", action="append", default=[], type=_names,
                       help="measures to show, the first decides who won (SQL, WQL, WAPE, MASE, bias, coverage 0.1-0.9); all are "
                            "kept")
    group.add_argument("--run", metavar="FOLDER", required=True,
                       help="run folder: results, scores, losses, forecasts, manifest, report; while it runs, FOLDER.partial")
    _talk(parser)


def _compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+",
                        help="folders that `shelfcast backtest --run` wrote; one suffices when it holds several models")
    parser.add_argument("--models", metavar="A,B", action="append", default=[], type=_names,
                        help="which models to compare, a name that two runs share with its folder: 'boosted (RUN)'; default: all")
    parser.add_argument("--metric", metavar="NAME", default="SQL", help="the measure that decides: SQL (default), WQL, MASE, WAPE, "
                                                                        "RMSE, bias, coverage, MAE, MSE, sMAPE, CRPS")
    parser.add_argument("--baseline", metavar="MODEL", help="the model that skill is measured against; default: naive, else "
                                                            "the second of two, else the worst")
    parser.add_argument("--by", choices=["series", "item", "location"], default="series",
                        help="what is drawn anew: each series (default), or all series of an item or of a location together, for "
                             "they miss together")
    parser.add_argument("--block", metavar="N", type=_whole,
                        help="windows drawn together; default: as many as overlap, horizon / step")
    parser.add_argument("--replicates", metavar="N", type=_whole, default=2000, help="how often everything is drawn anew (2000)")
    parser.add_argument("--confidence", metavar="P", type=_real, default=0.95, help="how sure intervals are (0.95)")
    parser.add_argument("--interval", choices=["percentile", "bca"], default="percentile",
                        help="how intervals are read off the replicates (percentile); bca corrects for bias and skewness")
    parser.add_argument("--seed", metavar="N", type=_whole, default=0, help="seed of the draws (0)")
    parser.add_argument("--report", metavar="FILE.html", help="one self-contained page to open in a browser")
    _talk(parser)


def _tune(parser: argparse.ArgumentParser) -> None:
    _sales(parser)
    _rules(parser)
    group = parser.add_argument_group("tuning")
    group.add_argument("--model", metavar="NAME", required=True, help="a name of `shelfcast models`")
    group.add_argument("--budget", metavar="90s|20m|1h",
                       help="time for everything, also of earlier starts with the same --run (20m, or no limit with --trials)")
    group.add_argument("--trials", metavar="N", type=_whole, help="at most so many trials, the defaults included")
    group.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], type=_pairs, dest="options",
                       help="a setting that is fixed, not searched; repeatable")
    group.add_argument("--horizon", metavar="N", type=_whole,
                       help=f"periods to forecast in each window; default: {_BY_DATA}")
    group.add_argument("--windows", metavar="K", type=_whole,
                       help="windows of the past to choose by, beside the last one (2, or 1 where the past is short)")
    group.add_argument("--max-series", metavar="N", type=_whole, default=5_000,
                       help="score a sample when there are more series; all of them teach (5000)")
    group.add_argument("--seed", metavar="N", type=_whole, default=0, help="seed of everything random (0)")
    group.add_argument("--run", metavar="FOLDER", default="tuned", help="folder to write, and to go on with (tuned)")
    _talk(parser)


def _finetune(parser: Parser) -> None:
    _sales(parser)
    parser.rest = "more"
    parser.add_argument("more", metavar="SALES", nargs="*", help="further sales, read with the same flags and learned together")
    _rules(parser)
    group = parser.add_argument_group("fine-tuning")
    group.add_argument("--method", choices=["frozen", "top", "lora", "full"], default="top",
                       help="which numbers move: the head alone (frozen), the head, the last layer and all norms (top, default), "
                            "low-rank updates of the matrices (lora), or everything (full)")
    group.add_argument("--weights", metavar="NAME|FOLDER", default="tiny", help="that it begins with (tiny)")
    group.add_argument("--horizon", metavar="N", type=_whole, help=f"periods that will be asked for; default: {_BY_DATA}")
    group.add_argument("--steps", metavar="N", type=_whole, help="at most so many (300)")
    group.add_argument("--patience", metavar="N", type=_whole, help="stop after so many validations without a better one (5)")
    group.add_argument("--rank", metavar="N", type=_whole, help="of the updates of lora (8)")
    group.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], type=_pairs, dest="options",
                       help="another setting: rate, layers, windows, series, context ...; repeatable")
    group.add_argument("--seed", metavar="N", type=_whole, default=0, help="seed of everything random (0)")
    group.add_argument("--run", metavar="FOLDER", required=True,
                       help="run folder to write: weights, model, scores, page; while it trains, FOLDER.partial")
    _talk(parser)


def _pretrain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", metavar="tiny|small|base", default="tiny",
                        help="about 1, 8 or 19 million numbers (tiny); toy, of 0.2 million, checks that training works")
    parser.add_argument("--folder", metavar="FOLDER", default="weights", help="folder to write (weights); while it trains, "
                                                                              "FOLDER.partial")
    parser.add_argument("--steps", metavar="N", type=_whole, default=2_500, help="steps of training (2500)")
    parser.add_argument("--minutes", metavar="M", type=_real, help="pause after so many minutes, with a checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on with the training that was begun for FOLDER; one that has "
                                                               "ended is left as it is")
    parser.add_argument("--processes", metavar="N", type=_whole, default=1, help="that draw retailers beside the training (1)")
    parser.add_argument("--threads", metavar="N", type=_whole, default=1, help="of PyTorch (1)")
    parser.add_argument("--device", metavar="cpu|cuda", help="default: a GPU where there is one")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of matrix products (float32)")
    parser.add_argument("--seed", metavar="N", type=_whole, default=0, help="seed of the first weights (0)")
    parser.add_argument("--drawn", metavar="N", type=_whole, default=0, help="seed of the simulated retailers (0)")
    parser.add_argument("--distinct", metavar="N", type=_whole, help="after so many retailers they come again (always new ones)")
    _talk(parser)


def _compress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", metavar="MODEL", help="name of weights in the box, such as tiny, a folder of them, or a run "
                                                           "folder that holds some")
    parser.add_argument("--out", metavar="FOLDER", default="compressed",
                        help="folder to write (compressed), whole or not at all; while something is trained, FOLDER.partial")
    group = parser.add_argument_group("what is done")
    group.add_argument("--distil-into", metavar="tiny|small", help="a network of this size learns what MODEL says")
    group.add_argument("--prune", metavar="SHARE", type=_real,
                       help="take out units worth least, with this share of the parameters, such as 0.3; then learn for a while")
    group.add_argument("--int8", action="store_true",
                       help="matrix products in whole numbers of eight bits, where the loss allows it; such weights learn no more")
    group.add_argument("--rise", metavar="SHARE", type=_real, default=0.002,
                       help="that eight bits may add to the loss; what would add more stays in float32 (0.002)")
    group = parser.add_argument_group("training")
    group.add_argument("--steps", metavar="N", type=_whole,
                       help="of each training (3000 to distil, 400 after pruning); 0: none after pruning")
    group.add_argument("--minutes", metavar="M", type=_real, help="pause after so many minutes of training, with a checkpoint")
    group.add_argument("--resume", action="store_true", help="go on with what was begun for FOLDER")
    group.add_argument("--processes", metavar="N", type=_whole, default=1, help="that draw retailers beside the training (1)")
    group.add_argument("--threads", metavar="N", type=_whole, default=1, help="of PyTorch (1)")
    group.add_argument("--device", metavar="cpu|cuda", help="default: a GPU where there is one")
    group.add_argument("--precision", choices=["float32", "bfloat16"], default="float32", help="of matrix products (float32)")
    group.add_argument("--seed", metavar="N", type=_whole, default=0, help="seed of the first weights (0)")
    group.add_argument("--drawn", metavar="N", type=_whole, default=0, help="seed of the simulated retailers (0)")
    group.add_argument("--distinct", metavar="N", type=_whole, help="after so many retailers they come again (always new ones)")
    _talk(parser)


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", metavar="FOLDER", default="demo", help="folder to write (demo)")
    _talk(parser)


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        left, equals, right = part.partition("=")
        if not (left.strip() and equals and right.strip()):
            raise argparse.ArgumentTypeError(f"{shorten(part)!r} is not of the form NAME=VALUE")
        if left.strip() in pairs:
            raise argparse.ArgumentTypeError(f"{shorten(left.strip())!r} is given twice: {shorten(pairs[left.strip()])!r} and "
                                             f"{shorten(right.strip())!r}")
        pairs[left.strip()] = right.strip()
    return pairs


def _options(text: str) -> dict[str, str] | Path:
    return Path(text[1:]) if text.startswith("@") else _pairs(text)


def _names(text: str) -> list[str]:
    return [p.strip() for p in text.split(",") if p.strip()]


def _levels(text: str) -> tuple[float, ...]:
    levels = []
    for part in _names(text):
        try:
            levels.append(float(part))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{shorten(part)!r} is not a number such as 0.5") from None
    return tuple(levels)


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shorten(text)!r} is not a number such as 0.95") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shorten(text)!r} is not a whole number") from None


Verb = Callable[[argparse.Namespace], int]
