"""Bugs in reading the configuration: what is taken, what is told, and what is shown.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

FILE, TABLE, SHAPES = "gateway/config/file.py", "gateway/config/table.py", "gateway/config/shapes.py"
CHAINS, FACTS = "gateway/config/chains.py", "chains/evm/facts.py"
ASKS = ("tests/unit/gateway/test_config.py", "tests/unit/gateway/test_config_hostile.py")

PLANTED_CONFIGURATION = (
    Planted(
        "a number of thousands of digits ends in a traceback",
        12,
        (Edit(FILE, "except ValueError as error:", "except tomllib.TOMLDecodeError as error:"),),
        asks=ASKS,
    ),
    Planted(
        "a file that nests too deep ends in a traceback",
        12,
        (Edit(FILE, "except RecursionError as error:", "except EOFError as error:"),),
        asks=ASKS,
    ),
    Planted(
        "an unknown key is passed over",
        12,
        (Edit(TABLE, "        if name not in names:\n", "        if name not in names and not names:\n"),),
        asks=ASKS,
    ),
    Planted(
        "a key of another family is passed over",
        12,
        (Edit(TABLE, "            if name not in fields:\n", "            if name not in self.rest:\n"),),
        asks=ASKS,
    ),
    Planted(
        "what its family refuses as a chain's number is taken",
        12,
        (Edit(FACTS, "    if type(said) is not int or ", "    if "),),
        asks=ASKS,
    ),
    Planted(
        "a known alias may be put on another chain",
        12,
        (Edit(CHAINS, "            if given not in {None, fact}:\n", "            if given is fact:\n"),),
        asks=ASKS,
    ),
    Planted(
        "what an operator says of a family's facts changes nothing",
        12,
        (Edit(CHAINS, "        rules_of(known.family).facts.override(known, said),\n", "        known,\n"),),
        asks=ASKS,
    ),
    Planted(
        "what has to be given may be left out",
        12,
        (Edit(TABLE, "            if name not in values:\n", "            if name in values:\n"),),
        asks=ASKS,
    ),
    Planted(
        "a wrong value is shown",
        12,
        (Edit(TABLE, '    return _KINDS.get(type(value), "a date")\n', "    return repr(value)\n"),),
        asks=ASKS,
    ),
    Planted(
        "a name in the environment is taken as it stands",
        12,
        (
            Edit(
                TABLE,
                "        value = reading.environment.get(named[1], UNSET)\n",
                "        value = named[0]\n",
            ),
        ),
        asks=ASKS,
    ),
    Planted(
        "what one key lacks is asked for although another is wrong already",
        12,
        (Edit(TABLE, "        if not self.reading.is_wrong(key):\n", "        if True:\n"),),
        asks=ASKS,
    ),
    Planted(
        "a complaint about one key silences its namesakes",
        12,
        (Edit(TABLE, '(f"{key}:", f"{key}.", f"{key}[")', "key"),),
        asks=ASKS,
    ),
    Planted(
        "a secret that has to be the same on every host is made on each",
        9,
        (
            Edit(
                FILE,
                '    if file.database.url or file.reading.is_wrong("database.url"):\n',
                "    if False:\n",
            ),
        ),
        asks=ASKS,
    ),
    Planted(
        "an amount in base units may be nothing",
        2,
        (Edit(SHAPES, "type(number) is int and least <= number", "type(number) is int and 0 <= number"),),
        asks=ASKS,
    ),
)
