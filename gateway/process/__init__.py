"""Floor: what a process owns: logs, metrics, the operator's bell, its files, its database, its terminal."""
