"""The Tron family: how nodes that speak java-tron's HTTP API are asked and understood.

`family` is what others see of it, `source` and `provider` what the port asks.
Rooms, each knowing those after it: `nodes` asks, `value` says what moved,
`verify` what hashes and signatures cover, `rows` what was answered.
`networks` is the catalogue's data.  Nothing here knows merchants or databases.
"""
