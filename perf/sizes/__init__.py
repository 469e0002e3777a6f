"""What operations cost as a store grows (perf/growth.py): a file for what there are many of."""
