"""Hooks that come with greenroom, and hooks that are composed of other hooks."""
