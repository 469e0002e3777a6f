"""Policies: what sessions may use of time, rate and resources. Limits are decided with each command in its session's
turn; rates are asked before the message is delivered; time is kept by one timer for all sessions."""
