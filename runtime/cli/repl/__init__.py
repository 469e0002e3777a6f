"""``greenroom repl``: scripts typed line by line, in a sandbox that stays."""
