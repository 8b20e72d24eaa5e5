"""A service with doubles of its engine, load on it, faults in it, and its processes' memory."""
