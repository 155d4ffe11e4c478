"""Floor: the way out: one HTTP request to a stranger, judged before it connects and bounded in all it does."""
