"""What moved in a block whose rows were checked: tokens, coins, inner calls, who signed, whose books change.  Pure."""
