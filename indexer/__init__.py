"""Room: what the chain means for us.

Here the canonical chain is kept, transfers are matched with watched addresses
and deposits live their lives.  Floors: `rules` decides and is pure, `rows` is
the tables, `move` is what is written under a chain's lock, `follow` reads the
head, `history` what lies behind it; `explain` says why.  It owns the tables
chains, blocks, assets, addresses, deposits, rescans and doubted_blocks; others
read through `views`, and `service` runs it.  It has never heard of HTTP,
endpoints or invoices: facts leave through a callable it is given.
"""
