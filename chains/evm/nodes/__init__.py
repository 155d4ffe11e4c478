"""Nodes and what is asked of them: connections, windows of blocks, receipts in any form, balances, proofs."""
