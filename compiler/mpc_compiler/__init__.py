"""Plan in, plan out: the pure compiler from plans to programs over secret shares."""
