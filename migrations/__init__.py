"""ROOM: the database itself. Lowest floor, beside `chains`; knows nobody above it.

Lives here: numbered SQL (`sql/`) and what applies it (`runner`), the pool (`connect`), named queries (`queries`),
our own PostgreSQL (`embedded`, `binaries`), backups (`backup`), object ids (`ids`), the golden schema (`golden`,
`schema.sql`). Does not live here: what a table means. Each table belongs to the room named by its migration
(`0001_indexer`, `0002_relay`, `0003_gateway`), and that room's `store.py` is the only one to read or write it.
"""
