"""`python -m tests.simulation`: many schedules, or one again.

Lives here: the command line, and how a failing seed is reported. What a schedule is stands in `world.py`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.kinds import ANY, KINDS, Kind
from tests.simulation.runner import SCHEDULES_EACH, replay_command, run_shares, tell_story
from tests.simulation.troubles import Tally, Trouble

SCHEDULES_DEFAULT = 100_000
PROGRESS_EVERY_S = 30.0


def main() -> int:
    """0: every schedule kept every law; 1: one did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--schedules", type=int, default=SCHEDULES_DEFAULT)
    parser.add_argument("--seed", type=int, default=0, help="the first schedule's seed; the others follow it")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--replay", type=int, metavar="SEED", help="one schedule again, with its story")
    parser.add_argument(
        "--keep-going", action="store_true", help="report every failing seed, not the first only"
    )
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all", help="whose rules chains have")
    options = parser.parse_args()
    if options.replay is not None:
        kind = KINDS.get(options.kind, ANY)
        return 0 if tell_story(options.replay, options.steps, kind) else 1
    kinds = list(KINDS.values()) if options.kind == "all" else [KINDS[options.kind]]
    each, more = divmod(options.schedules, len(kinds))
    shares = [each + (number < more) for number in range(len(kinds))]
    failures = 0
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for kind, count in zip(kinds, shares, strict=True):
            failures += run_kind(pool, kind, count, options)
            if failures and not options.keep_going:
                break
    return 1 if failures else 0


def run_kind(pool: ProcessPoolExecutor, kind: Kind, count: int, options: argparse.Namespace) -> int:
    """So many schedules of one kind, and their report; how many broke a law."""
    total, failures, over = Tally(), 0, 0
    started = told = time.monotonic()
    for tally, broken in run_shares(
        pool, options.seed, count, options.steps, keep_going=options.keep_going, kind=kind
    ):
        total.counts.update(tally.counts)
        failures += len(broken)
        over = min(over + SCHEDULES_EACH, count)
        for seed, failure in broken.items():
            print(f"seed {seed}: {failure}\n  {replay_command(seed, options.steps, kind)}", flush=True)
        if time.monotonic() - told > PROGRESS_EVERY_S:
            told = time.monotonic()
            print(f"{kind.name}: {over} of {count} in {told - started:.0f} s", file=sys.stderr)
    for trouble in Trouble:
        if trouble not in kind.lacks:
            print(f"{total.counts[trouble]:>10}  {trouble}")
    spent_s = time.monotonic() - started
    print(f"{kind.name}: {over} schedules of {options.steps} steps in {spent_s:.1f} s, {failures} failures")
    return failures


if __name__ == "__main__":
    sys.exit(main())
