"""What people use instead of greenroom: tables by hand, and the stores of other libraries.

`by_hand` is a baseline of rows of the table. The others stand side by side in `peers.contest`: a module for each has
`sides(folder, level)`, and is left out where its library is not installed (perf/peers.txt).
"""
