"""Bugs of the file a backup is.

Data only, as `planted.py`. What that file promises stands in `docs/operate.md`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

ARCHIVE, BACKUP = "migrations/archive.py", "migrations/backup.py"
TESTS = "tests/database/test_backup.py"

PLANTED_BACKUP = (
    Planted(
        "a damaged backup is restored as far as it goes",
        9,
        (Edit(ARCHIVE, "        damaged = archive.testzip()\n", "        damaged = None\n"),),
        asks=(TESTS, "-k", "a_byte_changed_anywhere"),
    ),
    Planted(
        "a backup that lacks a key is restored without it",
        9,
        (Edit(ARCHIVE, "        if archive.namelist() != [*expected, MANIFEST]:\n", "        if False:\n"),),
        asks=(TESTS, "-k", "a_damaged_file_is_refused"),
    ),
    Planted(
        "a backup packed by other rules is unpacked by them",
        9,
        (
            Edit(
                ARCHIVE,
                "            if any(info.compress_type != ZIP_DEFLATED for info in archive.infolist()):\n",
                "            if False:\n",
            ),
        ),
        asks=(TESTS, "-k", "a_damaged_file_is_refused"),
    ),
    Planted(
        "others may read a backup",
        9,
        (Edit(ARCHIVE, "os.O_EXCL | os.O_NOFOLLOW, 0o600)\n", "os.O_EXCL | os.O_NOFOLLOW, 0o644)\n"),),
        asks=(TESTS, "-k", "to_the_last_bit"),
    ),
    Planted(
        "rows that a restore did not get are not missed",
        9,
        (Edit(BACKUP, "            if _rows_of(status) != table.rows:\n", "            if False:\n"),),
        asks=(TESTS, "-k", "rows_that_do_not_come"),
    ),
)
