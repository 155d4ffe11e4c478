"""Room: what blockchains say.

Here live the one port every family implements (`port`), the values it speaks
in (`model`, `traits`, `errors`), what all families share (`source`, `hints`,
the RPC plumbing in `rpc/`), one folder a family (`evm/`) with the one value
that it brings (`family`, `families`), and the catalogue of known networks.  This room has never
heard of merchants, deposits, databases or webhooks: see `indexer` for what a
chain means for us.
"""
