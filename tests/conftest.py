"""What all tests share: where the public data sets are, and a small clean panel."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before LightGBM is loaded; as the command line does
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of public data sets; tests that ask for it are skipped where it is not."""
    folder = Path(os.environ.get("SHELFCAST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the public data sets, which are not at {folder} (set SHELFCAST_DATA)")
    return folder
