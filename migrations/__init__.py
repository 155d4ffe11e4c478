"""ROOM: the database itself. Lowest floor, beside `chains`; knows nobody above it.

Lives here: numbered SQL (`sql/`) and what applies it (`runner`); connections and the pool (`connect`, `handles`); named
queries (`queries`); object ids (`ids`); our own PostgreSQL (`embedded` starts and shares it, `cluster` keeps its files,
`account` and `binaries` run its programs); backups (`backup`, `archive`); what can be wrong (`errors`).
Does not live here: what a table means. Each belongs to the room named by its migration (`0001_indexer`, `0002_relay`,
`0003_gateway`), and only that room's stores read and write it.
"""
