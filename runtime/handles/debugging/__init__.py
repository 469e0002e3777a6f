"""What helps to find out what happened in a session: differences, comparisons, contexts of calls, the debugger."""
