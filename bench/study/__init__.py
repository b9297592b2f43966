"""The textbook study: the claims of the tutorials as experiments, each with figures, an interval and a verdict."""
