"""Where people come in: commands, configuration, the HTTP API, and the wiring of all rooms.

Lives here: `chainbell` (`cli`, `commands/`), one TOML file to frozen settings (`config/`), what a process owns (`process/`), what
`doctor` asks (`doctor/`), merchants, keys, idempotency and the audit trail (`store`), the API (`http/`), Redis (`redis/`).
`compose` is the only module that knows every room. Does not live here: what a chain means (indexer) and how merchants are told
(relay); those rooms never import this one.
"""
