"""The EVM family: how Ethereum-like chains are asked and understood.

`family` is what others see of it, `source` and `provider` what the port asks.
Rooms, each knowing those after it: `nodes` asks, `value` says what moved,
`verify` what hashes cover, `rows` what was answered.  `networks` is the
catalogue's data.  Nothing here knows merchants or databases.
"""
