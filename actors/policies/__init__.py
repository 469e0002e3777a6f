"""Policies limit the time, rate and resources of sessions. Resource limits are decided with each command in its
session's turn, rates before the message is delivered, and time limits by one timer for all sessions."""
