"""What of a block its id, its root and its witness stand for.  Pure."""
