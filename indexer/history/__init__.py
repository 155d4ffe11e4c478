"""Floor: reading what lies behind the head: starts that were lowered, rescans, audits."""
