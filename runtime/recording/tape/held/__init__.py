"""How the values and exceptions of a program stand on a tape, and are made again."""
