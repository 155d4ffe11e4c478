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
    options = parser.parse_args()
    if options.replay is not None:
        return 0 if tell_story(options.replay, options.steps) else 1
    total, failures, over = Tally(), 0, 0
    started = told = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for tally, broken in run_shares(
            pool, options.seed, options.schedules, options.steps, keep_going=options.keep_going
        ):
            total.counts.update(tally.counts)
            failures += len(broken)
            over = min(over + SCHEDULES_EACH, options.schedules)
            for seed, failure in broken.items():
                print(f"seed {seed}: {failure}\n  {replay_command(seed, options.steps)}", flush=True)
            if time.monotonic() - told > PROGRESS_EVERY_S:
                told = time.monotonic()
                print(f"{over} of {options.schedules} in {told - started:.0f} s", file=sys.stderr)
    for trouble in Trouble:
        print(f"{total.counts[trouble]:>10}  {trouble}")
    spent_s = time.monotonic() - started
    print(f"{over} schedules of {options.steps} steps in {spent_s:.1f} s, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
