"""Recordings in the journal of a session: how crossings are written there, and read back as a tape."""
