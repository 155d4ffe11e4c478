"""The EVM family: how Ethereum-like chains are asked and understood.

`family` is what others see of it.  `source` and `provider` ask nodes, `rows` says what they answer, `consistency`
and `verify` check it, `decode` and `traces` turn it into transfers, `heads`
listens for hints, `tokens` reads metadata, `address` spells addresses.
Nothing here knows merchants or databases.
"""
