"""Everything behind a mailbox: the dispatcher, messages, the session actor, the supervisor, the one writer."""
