"""Replay: the same decide and evolve over the same journal, with everything from outside answered from the journal."""
