"""A block's bytes as values: headers, transactions, outputs.  Pure."""
