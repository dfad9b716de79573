"""Two regions of processes: started, operated on over an operator's links, and read."""
