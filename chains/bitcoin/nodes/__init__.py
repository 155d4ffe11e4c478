"""Nodes of this family: asked, listened to, and their blocks checked."""
