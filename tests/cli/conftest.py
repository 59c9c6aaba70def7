"""What tests of the command line share."""

import pytest

from winpredict.cli import output


@pytest.fixture
def wide(monkeypatch):
    """A terminal so wide that no cell of a table is folded."""
    monkeypatch.setattr(output, "_WIDTH_OF_PIPES", 2000)
