"""Asking nodes over JSON-RPC, whatever the family of the chain.

Here live the wire format (`jsonrpc`), its bytes over HTTP (`transport`), the
request budget (`throttle`) and who is asked next (`endpoints`).  What the
answers mean is the family's business (`chains.evm`).
"""
