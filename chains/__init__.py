"""Room: what blockchains say.

Here live the one port every family implements (`port`), the values it speaks
in (`model`, `traits`, `errors`), the RPC plumbing (`rpc/`), one folder a
family (`evm/`), and the catalogue of known networks.  This room has never
heard of merchants, deposits, databases or webhooks: see `indexer` for what a
chain means for us.
"""
