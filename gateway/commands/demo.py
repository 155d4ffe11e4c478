"""`chainbell demo`: a local chain, a shop that receives webhooks, the whole story.

Lives here: the command. Does not live here: the demo (`gateway.demo`), which is imported only when it is asked for, since
it brings what an installation without the demo does not have.
"""

from __future__ import annotations

import argparse

from gateway.commands.frame import Command, CommandFailed, Frame


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--chain", choices=("evm", "bitcoin"), default="evm", help="which kind of chain it is played on"
    )
    parser.add_argument("--once", action="store_true", help="end after one pass; 1 if anything was missing")


def _demo(frame: Frame) -> int:
    try:
        from gateway.demo.main import run_demo  # noqa: PLC0415  (it needs the extra `demo`)
    except ImportError as error:
        raise CommandFailed(
            f"the demo needs one more package ({error.name}): pip install 'chainbell[demo]'"
        ) from error
    return run_demo(chain=frame.arguments.chain, once=frame.arguments.once)


DEMO = Command("demo", "a local chain, a shop that receives webhooks, the whole story", _demo, _arguments)
