"""Write docs/cli.md from the program itself, or with --check say whether it is fresh. Docs that are made cannot lie."""

import os
import sys
from pathlib import Path

os.environ["COLUMNS"] = "110"  # argparse wraps by the terminal's width; the page must not depend on it

from shelfcast.cli.parser import build, verbs

PAGE = Path(__file__).resolve().parent / "cli.md"


def reference() -> str:
    """The whole page."""
    parser = build()
    parts = ["# Command line\n\nMade from the program by `make docs`; do not edit.\n", _block("shelfcast", parser.format_help())]
    parts += [_block(f"shelfcast {name}", one.format_help()) for name, one in verbs(parser).items()]
    return "\n".join(parts)


def _block(title: str, text: str) -> str:
    return f"## {title}\n\n```\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == reference()
        print("docs/cli.md is fresh" if fresh else "docs/cli.md is stale: run make docs and commit it")
        sys.exit(0 if fresh else 1)
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
