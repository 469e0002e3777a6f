"""Hooks that come with greenroom, and those that are made of other hooks."""
