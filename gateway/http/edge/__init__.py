"""Floor: the way in: sockets, limits, who calls, and an answer or a refusal on its way out."""
