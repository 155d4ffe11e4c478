"""A deterministic chain in memory that plays a script: for tests, bench, demo.

`chain` is the world (blocks, forks, finality), `provider` one node's view of
it (late, stuck, failing), `source` the port over them, `mempool` what one knows of
transactions that wait.  Same script, same
bytes: no clock and no chance in here.  Real nodes are the families' business.
"""

from chains.scripted.chain import ScriptedBlock, ScriptedChain, ScriptedMove, ScriptedTx
from chains.scripted.mempool import ScriptedMempool
from chains.scripted.provider import ScriptedProvider
from chains.scripted.source import ScriptedSource

__all__ = [
    "ScriptedBlock",
    "ScriptedChain",
    "ScriptedMempool",
    "ScriptedMove",
    "ScriptedProvider",
    "ScriptedSource",
    "ScriptedTx",
]
