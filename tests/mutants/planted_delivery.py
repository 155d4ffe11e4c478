"""Bugs where delivered would not mean delivered: whose answer it is, what counts as one, what goes over the wire.

Data only, as `planted.py`. They are asked of the tests that stand on real sockets.
"""

from __future__ import annotations

from tests.mutants.edits import Edit, Planted

WIRE, KEPT, ANSWER, EGRESS = (
    "relay/out/wire.py",
    "relay/out/kept.py",
    "relay/out/answer.py",
    "relay/out/egress.py",
)
REQUESTS, TIMERS, DIAL, TLS = (
    "relay/out/requests.py",
    "relay/lanes/timers.py",
    "relay/out/dial.py",
    "relay/out/tls.py",
)
WHOSE, ODD, URLS = (
    ("tests/relay_live/test_whose_answer.py",),
    ("tests/relay_live/test_odd_answers.py", "tests/unit/relay/test_answer.py"),
    ("tests/relay_live/test_urls.py",),
)

FAIRNESS = ("tests/properties/relay/test_fairness.py",)

PLANTED_DELIVERY = (
    Planted(
        "an idle connection that said something is used again",
        4,
        (
            Edit(
                WIRE,
                "        if reader is None or reader.finished:\n            self.spoke_unasked = True\n            self._stop_listening()\n            return\n",
                "        if reader is None or reader.finished:\n            return\n",
            ),
        ),
        asks=WHOSE,
    ),
    Planted(
        "the socket is not looked at before a request is written",
        4,
        (
            Edit(
                WIRE,
                "        if self._secure and not was_used:\n            return\n",
                "        if was_used:\n            return\n",
            ),
        ),
        asks=WHOSE,
    ),
    Planted(
        "whatever comes behind an answer is ignored",
        4,
        (
            Edit(
                ANSWER,
                "        return self.finished and not self._odd and not self.overlong\n",
                "        return self.finished and not self._odd\n",
            ),
            Edit(WIRE, "        self.spoke_unasked = self.spoke_unasked or reader.overlong\n", ""),
        ),
        asks=WHOSE,
    ),
    Planted(
        "a connection is shared by all endpoints with one URL",
        8,
        (
            Edit(
                EGRESS,
                "None if owner is None else Owner(owner.int, url)",
                "None if owner is None else Owner(0, url)",
            ),
        ),
        asks=WHOSE,
    ),
    Planted(
        "a connection outlives the URL it was opened for",
        8,
        (
            Edit(
                EGRESS,
                "None if owner is None else Owner(owner.int, url)",
                'None if owner is None else Owner(owner.int, "")',
            ),
        ),
        asks=WHOSE,
    ),
    Planted(
        "an answer from before the request is taken for its answer",
        4,
        (Edit(WIRE, "        if self.spoke_unasked:\n            return SpokeUnasked()\n", ""),),
        asks=WHOSE,
    ),
    Planted(
        "an early success counts though the request was never taken",
        4,
        (Edit(WIRE, "            await self._see_it_taken()\n", "            self._note_taken()\n"),),
        asks=WHOSE,
    ),
    Planted(
        "a new endpoint's connection is used again at once",
        4,
        (
            Edit(
                KEPT,
                "            if self._idle[wire][1] + QUIET_S > asyncio.get_running_loop().time():\n                return None\n",
                "",
            ),
            Edit(WIRE, "            and reader.status < 300\n", ""),
        ),
        asks=WHOSE,
    ),
    Planted(
        "an odd header spoils a success",
        7,
        (
            Edit(
                ANSWER,
                "        self._odd = self._odd or not _FIELD.fullmatch(line)\n",
                "        if not _FIELD.fullmatch(line):\n            self.status = None\n            self._finish(odd=True)\n            return\n",
            ),
        ),
        asks=ODD,
    ),
    Planted(
        "an interim answer is taken for the answer",
        4,
        (
            Edit(
                ANSWER,
                "        elif status < 200 and status != 101:\n            self._interim = True\n",
                "        elif status < 100:\n            self._interim = True\n",
            ),
        ),
        asks=ODD,
    ),
    Planted(
        "a head without an end is kept whole",
        11,
        (
            Edit(
                ANSWER,
                "                if self._searched >= HEAD_BYTES_MAX:\n",
                "                if self._searched < 0:\n",
            ),
            Edit(
                ANSWER,
                "        self._head += data[: HEAD_BYTES_MAX - len(self._head)]\n",
                "        self._head += data\n",
            ),
        ),
        asks=ODD,
    ),
    Planted(
        "a lack of files is the receiver's fault",
        7,
        (
            Edit(
                DIAL,
                "        return error.errno not in _NO_FILES\n",
                "        return error.errno is not None\n",
            ),
        ),
        asks=ODD,
    ),
    Planted(
        "a URL's dots are tidied up",
        4,
        (
            Edit(
                REQUESTS,
                '        target=rest if rest.startswith("/") else "/" + rest,\n',
                '        target=(rest if rest.startswith("/") else "/" + rest).replace("/./", "/"),\n',
            ),
        ),
        asks=URLS,
    ),
    Planted(
        "a heap of moments is never sifted",
        11,
        (
            Edit(
                TIMERS,
                "        if len(self._heap) > max(SIFTED_FROM, 2 * len(self._moments)):\n",
                "        if not self._heap:\n",
            ),
        ),
        asks=("tests/unit/relay/test_timers.py",),
    ),
    Planted(
        "nobody says that a client certificate is wanted",
        7,
        (Edit(TLS, "        tls.asked_for_ours = True  #", "        tls.asked_for_ours = False  #"),),
        asks=("tests/relay_live/test_tls.py",),
    ),
    Planted(
        "endpoints that are gone come before those that answer",
        8,
        (
            Edit(
                "relay/lanes/turns.py",
                "return self._well if self._well and self._well_in_a_row < WELL_FIRST else self._others",
                "return self._others",
            ),
        ),
        asks=FAIRNESS,
    ),
    Planted(
        "who is not known to answer never has a turn",
        8,
        (Edit("relay/lanes/turns.py", " and self._well_in_a_row < WELL_FIRST else", " else"),),
        asks=FAIRNESS,
    ),
    Planted(
        "endpoints that never answer may be all that is in flight",
        8,
        (Edit("relay/lanes/turns.py", "self._others_in_flight >= self._others_max or ", ""),),
        asks=FAIRNESS,
    ),
)
