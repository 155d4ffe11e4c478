"""Floor: how a merchant holds us to what we told: the tree over a log, checkpoints, and who signs along."""
