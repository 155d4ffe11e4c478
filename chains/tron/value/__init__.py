"""What moved in a block whose rows were checked.  Pure."""
