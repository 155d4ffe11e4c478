"""Floor: what is written under a chain's lock: moves, and whatever else must not fall between two of them."""
