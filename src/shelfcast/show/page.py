"""A page from a template: texts escaped, styles and scripts inside, nothing else allowed to load or run.

The page's policy (a content security policy with the hashes of its style sheet and script) forbids loading anything and running
anything else. What the report has of this for itself works alike.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from shelfcast.show import numerals


def render_page(template: str, values: Mapping[str, Any], *, styles: Sequence[str], scripts: Sequence[str]) -> str:
    """The page as a text.

    Parameters
    ----------
    template : file in `templates/`; it sees `values`, `n` (numerals), `style`, `script` and their hashes
    styles, scripts : files in `assets/`, joined in this order
    """
    style, script = ("\n".join(asset(name) for name in names) for names in (styles, scripts))
    return _environment(template).get_template(template).render(
        **values, n=numerals, style=Markup(style), script=Markup(script), style_hash=_hash(style), script_hash=_hash(script))


@cache
def asset(name: str) -> str:
    """A file of `assets/` as a text."""
    return files("shelfcast.show").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _environment(template: str) -> Environment:
    source = files("shelfcast.show").joinpath("templates", template).read_text(encoding="utf-8")
    return Environment(loader=DictLoader({template: source}), autoescape=True, undefined=StrictUndefined, finalize=_harmless,
                       trim_blocks=True, lstrip_blocks=True)


def _harmless(value: Any) -> Any:
    """Texts from the data command nothing: neither the browser (escaped by the template) nor the direction of what follows."""
    return numerals.plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
