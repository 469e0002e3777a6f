"""Programs that are run to be recorded, replayed, forked and examined."""
