"""The HTTP API: one table of operations (`operations`), one module for each resource, one way in (`app`)."""
