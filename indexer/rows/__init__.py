"""Floor: this room's tables: what is asked of them, and the only code that knows how values are spelt there."""
