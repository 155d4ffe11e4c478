"""Room: what the chain means for us.

Here the canonical chain is kept, transfers are matched with watched addresses
and deposits live their lives (`canonical`, `evidence`, `finality`, `matching`,
`deposits`, `moves`: pure; `follow`, `backfill`, `audit`: acting).  It owns the
tables chains, blocks, assets, addresses, deposits, rescans and doubted_blocks; others read
through `views`.  It has never heard of HTTP, endpoints or invoices: facts
leave through a callable it is given.
"""
