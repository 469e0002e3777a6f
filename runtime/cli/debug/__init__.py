"""``greenroom debug``: a full-screen view of everything that happened in a session.

It needs textual: the extra `greenroom[debug]`.
"""
