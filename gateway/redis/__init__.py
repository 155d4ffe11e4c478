"""Redis as an optional helper: what several processes count, tell and remember together.

It may vanish at any time (Law 9): everything here has an equal inside one process, and PostgreSQL stays the only system
of record. A decision and its reasons: docs/decisions/0003-redis-as-a-helper.md.
"""
