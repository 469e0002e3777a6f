"""Searches in what was said, stored and named: what they ask for, where they look, and what they show."""
