"""What is found out by running a program several times: what makes it run differently, and which step decides."""
