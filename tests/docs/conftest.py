"""A command line for the tests of documents."""

from __future__ import annotations

import shlex

import pytest


@pytest.fixture
def shell(type_in, tmp_path, monkeypatch):
    """Type a command line in a folder of its own; it must end well."""
    monkeypatch.chdir(tmp_path)

    def run(line, code=0):
        got, out, err = type_in(*shlex.split(line.replace("\\\n", " ")))
        assert code in (got, None), err
        return out + err

    return run
