"""Folders of made-up official files."""

import pytest


@pytest.fixture
def written(tmp_path):
    """Writes {file name: text} into one folder and gives it."""

    def write(files):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return write
