"""A demo: a worker process is killed in mid-sentence, and nothing that it was acknowledged is lost."""
