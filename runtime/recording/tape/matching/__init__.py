"""How a replay finds what was recorded for a call or a read, and in which order it hands that over."""
