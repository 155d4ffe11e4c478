"""Floor: what `chainbell doctor` asks of machine, database, Redis and providers, and what to do about each answer."""
