"""`python -m tests.simulation`: many schedules, or one again.

Lives here: the command line, and how a failing seed is reported. What a schedule is stands in `world.py`.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.runner import rare_collections, replay_command, run_schedule, tell_story
from tests.simulation.troubles import Tally, Trouble


def main() -> int:
    """0: every schedule kept every law; 1: one did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="the first schedule's seed; the others follow it")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--replay", type=int, metavar="SEED", help="one schedule again, with its story")
    parser.add_argument(
        "--keep-going", action="store_true", help="report every failing seed, not the first only"
    )
    options = parser.parse_args()
    if options.replay is not None:
        return 0 if tell_story(options.replay, options.steps) else 1
    tally, started, failures = Tally(), time.perf_counter(), 0
    with rare_collections() as collect:
        for seed in range(options.seed, options.seed + options.schedules):
            failure = run_schedule(seed, options.steps, tally)
            collect(seed)
            if failure is not None:
                failures += 1
                print(f"seed {seed}: {failure}\n  {replay_command(seed, options.steps)}")
                if not options.keep_going:
                    return 1
    spent_s = time.perf_counter() - started
    for trouble in Trouble:
        print(f"{tally.counts[trouble]:>10}  {trouble}")
    print(f"{options.schedules} schedules of {options.steps} steps in {spent_s:.1f} s, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
