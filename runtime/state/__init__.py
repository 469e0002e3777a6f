"""State that outlives the code which wrote it: schemas of variables with their migrations, and backups of scopes."""
