"""The HTTP API: one table of operations (`operations`), a module for each resource (`resources`), one way in (`edge.app`)."""
