"""The boundaries of a program, one module for each library or kind: what crosses them is put on the tape, or answered
from it."""
