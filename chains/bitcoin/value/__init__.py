"""What moved in a block that was checked.  Pure."""
