"""A folder to run commands in. Here: the fixture. Not here: what it is made of (`shell.py`), the database itself
(tests/conftest.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.shell import Shell


@pytest.fixture
def shell(database_url: str, tmp_path: Path) -> Shell:
    """Commands on this test's own, migrated database."""
    return Shell(tmp_path, database_url)
