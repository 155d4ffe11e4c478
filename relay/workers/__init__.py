"""Floor: a worker and its store: which endpoints are its own, what it reads, and what it writes about them."""
