"""The catalogue of what goes wrong with deposits, held against the tests: each case has one that names it.

Here: the cases that must be right on EVM chains, in Bitcoin's family and on Tron, each in a line,
and the names `test_case_NNN_…` that prove them.  Not here: the proofs, which
end in a merchant's log (`tests/live`, `tests/live_bitcoin`) or begin with a single block
(`tests/live_evm`, `tests/unit/chains`).
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from tests.tidy import rules, tree

CASES = {
    1: "a failed transaction with a perfect transfer in its calldata",
    2: "a token that returns false, does not revert and logs nothing",
    4: "a token with another's name, symbol and decimals",
    6: "a token whose contract was given up for a new one",
    7: "two live contracts of one brand",
    8: "decimals that differ from chain to chain",
    9: "NFTs and odd events under the same topic",
    13: "transfers of nothing, to poison address books",
    16: "payments pulled or relayed by somebody else",
    17: "several transfers to one address in one transaction",
    18: "transfers between the merchant's own addresses",
    23: "amounts beyond 2^53, 2^63 and up to 2^256 - 1",
    25: "value in a frame whose ancestor reverted",
    26: "frames that show value and move none",
    34: "contracts that log moves of the native coin as if they were a token",
    43: "a payment's transaction disappears",
    44: "the same transaction is mined again in another block",
    45: "the same height and another log index",
    46: "a re-execution with another amount, or none",
    47: "another transaction of the same nonce, also across a reorganisation",
    48: "the header of one fork and the logs of another",
    49: "a side block that still answers by its hash",
    50: "logs marked as removed",
    51: "heads that are missed, repeated, out of order or silent",
    52: "a reorganisation deeper than is looked for",
    53: "a reorganisation below what was final",
    54: "finality that stands still",
    55: "finality that is null, refused or runs backwards",
    59: "a provider stuck on a dead fork",
    60: "a crash between the commit and the webhook",
    63: "payments that wait, and are replaced for a fee",
    64: "another transaction that spends the same output, with nothing for us",
    65: "payments that nodes forget, and that come back",
    66: "payments that are locked into the future",
    67: "two outputs of one transaction to one address",
    68: "change, and coins that the merchant moves",
    69: "rewards and peg-outs that nobody can spend yet",
    70: "the same payment under another id",
    71: "scripts that hold our key and are not ours",
    72: "assets that others see in outputs",
    73: "dust",
    76: "nodes of a version that believed false blocks",
    77: "addresses issued long ago, behind many that nobody used",
    79: "a run of a contract that is included and failed",
    80: "a default that is left out",
    81: "tokens with another's name",
    82: "one address in three spellings",
    83: "TRX that contracts send",
    84: "errors with status 200, and what is no JSON",
    85: "receipts by number, of another block",
    86: "a solid block that stands still, leads or goes back",
    87: "transfers of nothing on Tron",
    88: "TRX that comes by other ways",
    89: "tokens that their issuer freezes, destroys or issues without a transfer",
    90: "amounts that a double cannot hold",
    91: "gateways that refuse, and nodes that are mixed",
    103: "another chain behind the URL",
    105: "empty logs with success, and other answers that are not the block",
    107: "a load balancer that mixes nodes",
    108: "rate limits, timeouts, cut answers and silent caps",
    110: "downtime, and the gap after it",
    111: "an address registered while its block is processed",
    112: "the same address on every chain, and the wrong network",
    113: "spellings of one address",
}
"""Number in the catalogue, and what goes wrong.  An answer that misses one of these loses somebody's money."""

NUMBER_MAX = 120
NAME = re.compile(r"^test_case_((?:\d+_)+)")


def case_tests() -> dict[int, list[str]]:
    """Where each number is named: `path::test`."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in tree.python_files("tests"):
        for node in ast.walk(tree.syntax(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (match := NAME.match(node.name)):
                for number in match[1].rstrip("_").split("_"):
                    found[int(number)].append(f"{path}::{node.name}")
    return found


def test_every_case_of_the_first_release_has_a_test_that_names_it() -> None:
    found = case_tests()
    rules.expect_none(f"case {n:03} has no test: {what}" for n, what in CASES.items() if n not in found)


def test_every_case_of_the_first_release_is_followed_to_the_merchants_log() -> None:
    found = case_tests()
    rules.expect_none(
        f"case {n:03} ends nowhere in tests/live: {what}"
        for n, what in CASES.items()
        if not any(test.startswith(("tests/live/", "tests/live_bitcoin/")) for test in found[n])
    )


def test_a_case_is_named_by_three_digits_of_the_catalogue() -> None:
    rules.expect_none(
        f"{test}: a case is named by three digits, up to {NUMBER_MAX}"
        for number, tests in case_tests().items()
        for test in tests
        if not 1 <= number <= NUMBER_MAX or f"_{number:03}_" not in test.rpartition("::")[2]
    )
