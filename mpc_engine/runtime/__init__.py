"""The runtime: executors, channels, shares, and the walk of a party through the stages of a plan."""
