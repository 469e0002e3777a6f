"""What a recorded program takes with it: the tape, who writes it, and who answers from it.

Nothing here knows a store, so that a recorded program pays for no more than it needs."""
