"""Write docs/cli.md and docs/sources.md from the program itself, or with --check say whether they are fresh.

Docs that are made cannot lie.
"""

import os
import sys
from pathlib import Path

os.environ["COLUMNS"] = "110"  # argparse wraps by the terminal's width; the page must not depend on it

from shelfcast.cli.parser import build, verbs
from shelfcast.data.columns.dialects import COMPANIONS, KNOWN
from shelfcast.data.folders import BUNDLES
from shelfcast.data.sources.bundle import Bundle, File, Piece
from shelfcast.data.sources.dialect import Dialect

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


PAGES = {"cli.md": reference, "sources.md": sources}

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
