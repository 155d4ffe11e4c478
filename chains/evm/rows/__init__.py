"""What nodes answer with, before anybody believes it: typed rows, numbers, and whether an answer agrees with itself.  Pure."""
