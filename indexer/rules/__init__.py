"""Floor, pure: what the chain means: matches, deposits and their lives, evidence, finality, doubt."""
