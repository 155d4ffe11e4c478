"""Floor: the log of events, from facts to bytes that are never rebuilt, and how long they are kept."""
