"""The Bitcoin family: coins of unspent outputs, found by work.

Rooms, each knowing those after it: `verify` says what a block's work and
roots prove, `rows` reads its bytes.  `coins` is what differs from coin to
coin, `addresses` how scripts are spelled.  Nothing here knows merchants or
databases.
"""
