"""What waits in nodes' mempools: one look at one node (`look`), and the loop that says when (`watch`)."""
