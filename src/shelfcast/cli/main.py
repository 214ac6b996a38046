"""Entry point of `shelfcast`: parse, run one verb, turn errors into messages and exit codes."""

import errno
import io
import json
import os
import platform
import re
import shlex
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from shelfcast.cli.parser import UsageError, build, refuse_mistyped, refuse_unknown
from shelfcast.errors import ShelfcastError, masked, printable, shorten

OK, USAGE, BUG, INTERRUPTED = 0, 2, 70, 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Results go to standard output, talk to standard error.
    """
    parser = build()
    try:
        refuse_mistyped(parser, sys.argv[1:] if arguments is None else arguments)
        options, unknown = parser.parse_known_args(arguments)
        if options.verb is None:
            parser.print_help()
            return USAGE
        if unknown:
            refuse_unknown(parser, options.verb, unknown)
    except UsageError as error:
        wants_json = "--json" in (sys.argv[1:] if arguments is None else arguments)
        return _say(USAGE, f"{error}\nSee: {error.prog} --help", error.prog, wants_json, error)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else USAGE
    options.command = command_line(sys.argv[1:] if arguments is None else arguments)
    told = f"shelfcast {options.verb}", getattr(options, "json", False)
    # A polite kill unwinds like Ctrl-C, so that nothing half-written stays.
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        from shelfcast.cli.commands import COMMANDS

        return COMMANDS[options.verb](options)
    except KeyboardInterrupt:
        return _say(INTERRUPTED, "Interrupted; what was not finished was not written.", *told)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does: no error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except ShelfcastError as error:
        return _say(error.exit_code, str(error), *told, error)
    except MemoryError as error:
        return _say(1, "The memory of this machine does not suffice for these data. Forecast fewer items at a time, or use a "
                       "coarser --freq.", *told, error)
    except OSError as error:
        code = 1 if error.filename is None else USAGE
        return _say(code, f"{error.strerror or error}: {shorten(error.filename or '')}".rstrip(": "), *told, error)
    except Exception as error:
        if trouble := _disk_trouble(error):
            return _say(1, trouble, *told, error)
        traceback.print_exc()
        import shelfcast

        where = f"shelfcast {shelfcast.__version__}, Python {platform.python_version()}, {platform.system()}"
        return _say(BUG, f"This is a bug in shelfcast, not a mistake of yours. Please report it with the lines above, the versions "
                         f"({where}) and the command: shelfcast {' '.join(map(masked, sys.argv[1:]))}", *told, error)
    finally:
        signal.signal(signal.SIGTERM, previous)


def command_line(arguments: Sequence[str]) -> str:
    """The command as it may be shown to others: of absolute paths the last name alone, of passwords nothing.

    >>> command_line(["pretrain", "--folder", "/home/ann/weights", "--set=weights=/home/ann/tiny,context=9"])
    'shelfcast pretrain --folder weights --set=weights=tiny,context=9'
    """
    return shlex.join(["shelfcast", *map(_shown, arguments)])


def _shown(argument: str) -> str:
    if Path(argument).is_absolute():
        return Path(argument).name or argument
    parts = re.split("([=,@])", masked(argument))
    return "".join(Path(part).name or part if Path(part).is_absolute() else part for part in parts)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _disk_trouble(error: Exception) -> str | None:
    """What the system said, when writing failed inside a library that has its own errors for it."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    if found is None or int(found[1]) not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EIO):
        return None
    return (f"{os.strerror(int(found[1]))}: a result or a temporary file could not be written. Make room there, or set TMPDIR to a "
            f"larger disk for the temporary ones (now {tempfile.gettempdir()}).")


def _say(code: int, message: str, prog: str, wants_json: bool, error: BaseException | None = None) -> int:
    """The error on standard error; with --json also as a document on standard output, for programs that read it."""
    print(f"{prog}: {printable(message)}", file=sys.stderr)
    if wants_json:
        kind = type(error).__name__ if error is not None else "Interrupted"
        print(json.dumps({"error": {"code": kind, "message": message, "exit": code}}))
    return code


def run() -> None:
    """For the console script and `python -m shelfcast`."""
    # OpenMP's threads spin while they wait, which on shared cores takes the time of those that work: a demo of 234 s took 75 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that this terminal cannot show is spelled out, and ends nothing
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:  # warnings are for programmers, who ask for them with -W; what a user must know is told as a finding
        warnings.simplefilter("ignore")
    sys.exit(main())
