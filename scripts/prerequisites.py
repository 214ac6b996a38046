"""Say in words what this machine lacks before anything is installed; quiet when nothing is missing.

Standard library only, and syntax that an old Python can read: it must be able to say that Python is too old.
"""

import ctypes.util
import importlib.util
import os
import shutil
import sys


def lacking():
    """Each thing that is missing, with the line that brings it on Debian, Ubuntu or macOS."""
    found = []
    if sys.version_info < (3, 11):
        found.append("Python 3.11 or newer; this is %d.%d (%s). Give another one: make demo PYTHON=python3.11"
                     % (sys.version_info[0], sys.version_info[1], sys.executable))
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        found.append("the venv module of Python. Debian: apt-get install python3-venv")
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        found.append("a C compiler. Debian: apt-get install build-essential; macOS: xcode-select --install")
    if sys.platform.startswith("linux") and ctypes.util.find_library("gomp") is None and not _has("libgomp.so.1"):
        found.append("OpenMP, which LightGBM needs. Debian: apt-get install libgomp1")
    if sys.platform == "darwin" and not os.path.exists("/opt/homebrew/opt/libomp") and not os.path.exists("/usr/local/opt/libomp"):
        found.append("OpenMP, which LightGBM needs. macOS: brew install libomp")
    return found


def _has(library):
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    missing = lacking()
    for line in missing:
        sys.stderr.write("This machine lacks " + line + "\n")
    sys.exit(1 if missing else 0)
