"""Bugs in what a transaction in two blocks does, in what a surprise ends, and in whom a step waits for.

Data only, as `planted.py`.
"""

from __future__ import annotations

from tests.mutants.edits import FINALITY, FOLLOW, MOVES, VOICES, Edit, Planted

MATCHING = "indexer/rules/matching.py"
PREFETCH, SERVICE, SPEND_STORE, STEADY = (
    "indexer/follow/prefetch.py",
    "indexer/service.py",
    "indexer/rows/spend_store.py",
    "indexer/follow/steady.py",
)

PLANTED_FOLLOWING = (
    Planted(
        "a second occurrence moves a final deposit",
        2,
        (
            Edit(
                MOVES,
                "        or (stays.state is not DepositState.FINAL and sighting.header.height <= _height(stays))\n",
                "        or True\n",
            ),
            Edit(MOVES, "_MATURING = ON_CHAIN - {DepositState.FINAL}\n", "_MATURING = ON_CHAIN\n"),
        ),
    ),
    Planted(
        "history moves a final deposit to a lower block",
        2,
        (
            Edit(
                MOVES,
                "(stays.state is not DepositState.FINAL and sighting.header.height <= _height(stays))",
                "(sighting.header.height <= _height(stays))",
            ),
        ),
    ),
    Planted(
        "the newest occurrence counts, not the lowest",
        2,
        (
            Edit(
                MOVES,
                "known is None or sighting.header.height < known.header.height",
                "known is None or sighting.header.height > known.header.height",
            ),
        ),
    ),
    Planted(
        "a place that leaves forgets that a lower block holds the deposit too",
        3,
        (
            Edit(
                "indexer/move/commit.py",
                "    sightings = recall(touched.repeats, {one.id: one for one in touched.displaced}, registrations, rules)\n",
                "    sightings = recall((), {one.id: one for one in touched.displaced}, registrations, rules)\n",
            ),
        ),
    ),
    Planted(
        "a recorded deposit is looked for below where its address starts",
        2,
        (Edit(MATCHING, "return existing if began and (", "return existing if True or ("),),
    ),
    Planted(
        "an orphan's keys are not written",
        2,
        (
            Edit(
                SPEND_STORE,
                "for one in deposits if one.may_be_replaced for key",
                "for one in deposits if False for key",
            ),
        ),
        on_database=True,
    ),
    Planted(
        "what is read ahead ends the service when it surprises",
        8,
        (Edit(PREFETCH, "    except Exception as error:", "    except OSError as error:"),),
        on_database=True,
    ),
    Planted(
        "a helper's surprise ends the service",
        8,
        (
            Edit(
                SERVICE,
                "        await run_steadily(work, lambda error: self._around.tell_surprise(alias, stage, error, damper))\n",
                "        await work()\n",
            ),
        ),
        on_database=True,
    ),
    Planted(
        "a bell that is cancelled ends what it rings for",
        8,
        (Edit(STEADY, "    except (Exception, asyncio.CancelledError):\n", "    except Exception:\n"),),
        asks=("tests/unit/indexer/test_steady.py",),
    ),
    Planted(
        "silence counts as agreement",
        5,
        (
            Edit(
                VOICES,
                "            if question.of_fork or not isinstance(answer, BlockRef):\n                continue\n",
                "            if not isinstance(answer, BlockRef):\n                answer = asked\n",
            ),
        ),
    ),
    Planted(
        "what was answered about a block that left agrees with its successor",
        5,
        (
            Edit(
                VOICES,
                "            if await self._our_hash(record, asked.height, branch) != asked.hash:\n                continue\n",
                "",
            ),
            Edit(
                VOICES,
                "            if await self._our_hash(record, answer.height, branch) != answer.hash:\n",
                "            if answer.hash != asked.hash:\n",
            ),
        ),
    ),
    Planted(
        "an opinion of another fork counts for this one",
        5,
        (
            Edit(
                VOICES,
                "            if not question.of_fork or question.asked != branch or other.operator == first.operator:\n",
                "            if False:\n",
            ),
        ),
    ),
    Planted(
        "what the operator that is asked next has said counts for nothing",
        7,
        (
            Edit(
                VOICES,
                "            if branch and question.provider.operator == first.operator:\n",
                "            if question.provider.operator == first.operator:\n",
            ),
        ),
        asks=("tests/unit/indexer/test_second_operator.py",),
    ),
    Planted(
        "a step waits for who is silent",
        8,
        (
            Edit(
                FOLLOW,
                "                doubted, provider, asks=asks and is_open, wakes=wakes\n",
                "                doubted, provider, asks=asks and is_open, wakes=wakes, patience_s=60.0\n",
            ),
        ),
    ),
    Planted(
        "a silent operator is asked again and again",
        8,
        (Edit(VOICES, "            if other.name in self._questions:\n                continue\n", ""),),
    ),
    Planted(
        "a finalized block above the head is believed",
        5,
        (Edit(FINALITY, "None if tag is None or tag.height > report.head.height else tag", "tag"),),
    ),
    Planted(
        "a payment is told for whichever memo is watched",
        3,
        (Edit(MATCHING, "        return self.memo is None or self.memo == memo\n", "        return True\n"),),
    ),
    Planted(
        "who watches the whole address goes before who watches the memo",
        3,
        (
            Edit(
                MATCHING,
                "    return (one.memo is None, one.watching_until",
                "    return (one.memo is not None, one.watching_until",
            ),
        ),
        asks=("tests/properties/indexer/test_matching.py",),
    ),
    Planted(
        "a memo is forgotten where addresses are registered",
        3,
        (
            Edit(
                "indexer/rows/spelling.py",
                '        memo=row["memo"],\n    )\n\n\ndef decode_deposit',
                "    )\n\n\ndef decode_deposit",
            ),
        ),
        asks=("tests/database/indexer/test_watch_list.py",),
    ),
)
