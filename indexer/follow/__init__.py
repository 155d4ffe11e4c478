"""Floor: following the head of one chain, step by step, and whom to ask for it."""
