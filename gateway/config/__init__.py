"""Floor: one TOML file and the environment as frozen settings, with every mistake named at once."""
