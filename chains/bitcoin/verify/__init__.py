"""Is a block what its hash says, and was the work done?  Pure."""
