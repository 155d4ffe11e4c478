"""Nodes and what is asked of them: blocks with receipts by number, the schedule of witnesses, stories."""
