"""What receivers copy, beside `relay.verify`: the same for Node, and vectors that both pass (and yours should)."""
