"""Asking nodes over HTTP, whatever the family of the chain and the protocol of its nodes.

Here live one endpoint's `client` with its bytes over HTTP (`transport`), its
request budget (`throttle`) and its bill (`meter`), the protocol that many
speak (`jsonrpc`, in `batches`), and who is asked next (`endpoints`).  What the
answers mean is the family's business (`chains.evm`).
"""
