"""Secrets: how they are known, and removed from what is put on a tape."""
