"""Recording of programs that know nothing of greenroom, and their replay, offline."""
