"""Every error that shelfcast raises on purpose.

    ShelfcastError
      DataError            the data cannot be used as they are
      SettingsError        a setting, flag or argument is wrong            (also a ValueError)
        UnknownNameError   a name that is not among the known ones          (says which are, and the nearest)
      SourceError          a file, folder or database cannot be opened      (also an OSError)
      WeightsError         a saved model is absent, damaged or of another kind
      MissingExtraError    an optional package is not installed             (also an ImportError)

An error says what is wrong with the value, where, and what to do next. `exit_code` is what the command line ends with.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


class ShelfcastError(Exception):
    """Base of all: catch this one to catch every error that is not our bug."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """An error comes whole out of a worker process, also a kind whose message is made of other arguments."""
        return _again, (type(self), self.args, dict(vars(self)))


class DataError(ShelfcastError):
    """The data cannot be used as they are."""


class SettingsError(ShelfcastError, ValueError):
    """A setting, flag or argument is wrong."""

    exit_code = 2


class UnknownNameError(SettingsError):
    """A name that is not among the known ones.

    >>> raise UnknownNameError("model", "spactime", ["naive", "spacetime"])
    Traceback (most recent call last):
        ...
    shelfcast.errors.UnknownNameError: No model is called 'spactime'. Did you mean 'spacetime'? Known: naive, spacetime.
    """

    def __init__(self, what: str, name: str, known: Iterable[str], *, advice: str = "") -> None:
        known = [str(k) for k in known]
        # Comparing takes time in proportion to the product of the lengths: neither may be endless.
        closest = get_close_matches(name[:100], [k[:100] for k in known[:2000]], n=1, cutoff=0.6)
        folded = {k[:100].lower(): k for k in reversed(known[:2000])}  # a letter's case is no other name
        near = closest or [folded[k] for k in get_close_matches(name[:100].lower(), folded, n=1, cutoff=0.6)]
        guess = f" Did you mean {shorten(near[0])!r}?" if near else ""
        shown = ", ".join(shorten(k, 40) for k in known[:20]) + (f" and {len(known) - 20:,} more" if len(known) > 20 else "")
        listed = f" Known: {shown}." if known else f" There is no {what} at all."
        super().__init__(f"No {what} is called {shorten(name)!r}.{guess}{listed}{' ' + advice if advice else ''}")


class SourceError(ShelfcastError, OSError):
    """A file, folder or database cannot be opened or is not what its name says."""

    exit_code = 2


class WeightsError(ShelfcastError):
    """A saved model is absent, damaged, or of another kind than asked."""


class MissingExtraError(ShelfcastError, ImportError):
    """An optional package is not installed; the message holds the line that installs it."""

    exit_code = 3

    def __init__(self, purpose: str, extra: str, package: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed. "
                         f"Install it with: pip install 'shelfcast[{extra}]'")
        self.extra = extra


def _again(kind: type[ShelfcastError], args: tuple[Any, ...], attributes: dict[str, Any]) -> ShelfcastError:
    """The error as it was; __init__ would make its message anew from what is no longer known."""
    error = kind.__new__(kind, *args)
    vars(error).update(attributes)
    return error


def shorten(text: object, limit: int = 80) -> str:
    """A value for a message: on one line, never longer than `limit` characters, and without what a terminal would obey.

    >>> shorten("x" * 200, limit=10)
    'xxxxxxx...'
    >>> shorten("red \\x1b[31m tea")
    'red \\\\x1b[31m tea'
    """
    text = str(text)
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    return printable(text).replace("\n", " ")


def shorten_path(path: object, limit: int = 80) -> str:
    """A file's name for a message: where it is too long its end is kept, which tells one file from another.

    >>> shorten_path("/home/ann/sales/2024/january.csv", limit=20)
    '...2024/january.csv'
    """
    text = str(path)
    return shorten(text if len(text) <= limit else "..." + text[len(text) - limit + 4:], limit)


def masked(address: str) -> str:
    """A database address without its password, for messages, logs and manifests; any other text as it is.

    >>> masked("postgresql://ann:secret@host/shop?password=secret&sslmode=require")
    'postgresql://ann:***@host/shop?password=***&sslmode=require'
    """
    if "://" not in address:
        return address
    hidden = re.sub(r"(://[^:/?#@]*):.*@", r"\1:***@", address)
    return re.sub(r"(?i)((?:password|passfile|sslpassword)=)[^&\s]*", r"\1***", hidden)


def printable(text: str) -> str:
    """Text for a terminal: line breaks stay, other control and direction characters and lone surrogates are spelled out.

    Names come from the data, and the data from anywhere; a name must not colour, erase or reorder what we say.
    """
    if text.isprintable():
        return text
    # The two joiners shape letters in Persian and Hindi and command nothing.
    return "".join(c if c.isprintable() or c in "\n\u200c\u200d" else " " if c.isspace() else c.encode("unicode_escape").decode()
                   for c in text)
