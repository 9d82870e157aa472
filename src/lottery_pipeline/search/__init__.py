"""Search: what a method is given, what it returns, and the machinery that methods share."""
