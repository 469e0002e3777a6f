"""A demo: a worker process is killed while it writes, and no acknowledged write is lost."""
