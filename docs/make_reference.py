"""Write docs/cli.md, docs/sources.md and docs/settings.md from the program itself, or with --check say whether they are fresh.

Docs that are made cannot lie.
"""

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

os.environ["COLUMNS"] = "110"  # argparse wraps by the terminal's width; the page must not depend on it

from shelfcast.cli.parser import build, verbs
from shelfcast.data.columns.dialects import COMPANIONS, KNOWN
from shelfcast.data.folders import BUNDLES
from shelfcast.data.sources.bundle import Bundle, File, Piece
from shelfcast.data.sources.dialect import Dialect
from shelfcast.models.boosted import BoostedSettings
from shelfcast.models.chronos import ChronosSettings
from shelfcast.models.language import LanguageSettings
from shelfcast.models.profile import ProfileSettings
from shelfcast.models.spacetime import SpaceTimeSettings
from shelfcast.nn.augment import AugmentSettings
from shelfcast.nn.training import TrainingSettings

DOCS = Path(__file__).resolve().parent


def reference() -> str:
    """The whole page."""
    parser = build()
    parts = ["# Command line\n\nMade from the program by `make docs`; do not edit.\n", _block("shelfcast", parser.format_help())]
    parts += [_block(f"shelfcast {name}", one.format_help()) for name, one in verbs(parser).items()]
    return "\n".join(parts)


def _block(title: str, text: str) -> str:
    return f"## {title}\n\n```\n{text.rstrip()}\n```\n"


SOURCES = """# Data sets that are known

Made from the program by `make docs`; do not edit.

Give the folder that holds a data set's official files, as they were downloaded, and all that belongs together is joined: covariates
with their future, attributes of items and places, places on the map. A folder is recognised by the names of its files and the
columns of its sales file, and what was recognised is said in one sentence.

    shelfcast check FOLDER --horizon 16
    read_sales("FOLDER")

Files may be CSV, Parquet, Excel or packed (gz, zip, bz2, xz, zst) under the same names; `.7z` has to be unpacked. A file that is
missing is named, with what it would give. What you write yourself goes before what the folder says: `--known`, `--past`,
`--columns`, `--static`, `--places`, `--covariates`. A table whose key you rename (`--columns item=...`) is left out, and that is
said.

`known` covariates have a given future; `past` ones are seen up to the cutoff only.
"""


def sources() -> str:
    """The page of data sets."""
    parts = [SOURCES, *(_bundle(b) for b in BUNDLES)]
    parts.append("## Single files\n\nThese tables are also recognised by their columns alone, wherever they lie.\n\n"
                 "| recognised as | by the columns | read as |\n|---|---|---|\n"
                 + "".join(_dialect(d) for d in (*KNOWN, *COMPANIONS)))
    return "\n".join(parts)


def _bundle(bundle: Bundle) -> str:
    title = f"## {bundle.title}\n\nFrom {bundle.origin}.\n\n    {bundle.example}\n"
    files = "| file | holds | used for |\n|---|---|---|\n" + "".join(_file(bundle, f) for f in bundle.files)
    joined = "".join(_piece(p) for p in bundle.pieces)
    parts = [title, files]
    if kinds := _kinds(bundle):
        parts.append(f"From the sales file itself: {kinds}.\n")
    if joined:
        parts.append(f"Joined to the sales:\n\n{joined}")
    parts.append("Quirks:\n\n" + "".join(f"- {n}\n" for n in bundle.notes))
    return "\n".join(parts)


def _file(bundle: Bundle, file: File) -> str:
    also = f" (also {', '.join(f'`{a}`' for a in file.also)})" if file.also else ""
    uses = ["sales"] if file.name == bundle.sales or (bundle.make is not None and file.needed) else []
    uses += [p.use for p in bundle.pieces if file.name in p.of]
    used = "nothing" if bundle.refuse else ", ".join(dict.fromkeys(uses)) or "nothing"
    return f"| `{file.name}`{also} | {file.holds} | {used}{', needed' if file.needed and not bundle.refuse else ''} |\n"


def _piece(piece: Piece) -> str:
    kinds = _kinds(piece)
    return f"- {piece.says} ({' + '.join(piece.of)}, by {', '.join(piece.keys)}){f': {kinds}' if kinds else ''}\n"


def _kinds(says: Bundle | Piece) -> str:
    """Its covariates, by kind."""
    kinds = {"known": says.known, "past": says.past}
    return "; ".join(f"{kind} {', '.join(f'`{n}`' for n in names)}" for kind, names in kinds.items() if names)


def _dialect(dialect: Dialect) -> str:
    if dialect.refuse is not None:
        roles = "refused, with the reason"
    else:
        roles = ", ".join(f"{role}: {name}" for role, name in dialect.roles.items()) or "covariates"
    return f"| {dialect.title} | {', '.join(dialect.signature)} | {roles} |\n"


SETTINGS = """# Settings of the models

Made from the program by `make docs`; do not edit.

Give them as `--set width=32,steps=2000`, from a file (`--set @FILE.toml`), or from Python:

    make_model("spacetime", {"width": 32, "steps": 2_000})

None stands for leaving a setting out; its meaning says what then counts. What `shelfcast tune` searches of them, and how, says
[tuning.md](tuning.md); what the parts of the network are, [space-time.md](space-time.md).
"""
MODELS = {"spacetime": SpaceTimeSettings, "language": LanguageSettings, "boosted": BoostedSettings, "profile": ProfileSettings,
          "chronos": ChronosSettings}
ELSEWHERE = {"nn.training.TrainingSettings": TrainingSettings, "nn.augment": AugmentSettings}  # whose docstrings ours point to
RENAMED = {"hiding": "channels"}  # {setting: its name there}


def settings() -> str:
    """The page of models' settings."""
    return "\n".join([SETTINGS, *(_settings(name, one) for name, one in MODELS.items())])


def _settings(model: str, settings: type) -> str:
    told, kinds = _meanings(settings), get_type_hints(settings)
    names = [f.name for f in fields(settings)]
    listed = [n for group, _ in told for n in group]
    if sorted(listed) != sorted(names):
        sys.exit(f"{settings.__name__}: its docstring does not name the settings that it has: "
                 f"{', '.join(sorted({*listed} ^ {*names}))}")
    defaults = {f.name: f"{f.default:,}" if type(f.default) is int else str(f.default) for f in fields(settings)}
    rows = "".join(f"| {_joined(f'`{n}`' for n in group)} | {_joined(dict.fromkeys(_kind(kinds[n]) for n in group))} "
                   f"| {_joined(defaults[n] for n in group)} | {_of_some(meaning, kinds[group[0]])} |\n" for group, meaning in told)
    return f"## {model}\n\n| setting | may be | default | meaning |\n|---|---|---|---|\n{rows}"


def _meanings(settings: type) -> list[tuple[list[str], str]]:
    """Names and meaning of each entry of a docstring's attributes; entries that point elsewhere are told as they are there."""
    lines = (settings.__doc__ or "").partition("----------\n")[2].splitlines()
    found: list[tuple[list[str], str]] = []
    for line in filter(str.strip, lines):
        if line.startswith(" " * 8):
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
        else:
            names, _, meaning = line.strip().partition(" : ")
            found.append((names.split(", "), meaning))
    out: list[tuple[list[str], str]] = []
    for group, meaning in found:
        where = re.search(r"see `([\w.]+)`", meaning)
        if where is None:
            out.append((group, meaning))
            continue
        there = {name: text for names, text in _meanings(ELSEWHERE[where[1]]) for name in names}
        out += [([name], there[RENAMED.get(name, name)]) for name in group]
    return out


def _of_some(meaning: str, kind: Any) -> str:
    """What is told of None elsewhere is left out where a setting cannot be None."""
    return meaning if type(None) in get_args(kind) else re.sub(r"; None: [^;]*", "", meaning)


def _kind(kind: Any) -> str:
    """A type in words; None is told by the meaning."""
    kinds = [k for k in (get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)) if k is not type(None)]
    if get_origin(kinds[0]) is Literal:
        return ", ".join(f"`{v}`" for v in get_args(kinds[0]))
    return {int: "whole number", float: "number", str: "text", bool: "true or false"}[kinds[0]]


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)


PAGES = {"cli.md": reference, "sources.md": sources, "settings.md": settings}

if __name__ == "__main__":
    stale = []
    for name, make in PAGES.items():
        page = DOCS / name
        if "--check" in sys.argv[1:]:
            fresh = page.exists() and page.read_text(encoding="utf-8") == make()
            print(f"docs/{name} is fresh" if fresh else f"docs/{name} is stale: run make docs and commit it")
            stale += [] if fresh else [name]
        else:
            page.write_text(make(), encoding="utf-8")
            print(f"wrote {name}")
    sys.exit(1 if stale else 0)
