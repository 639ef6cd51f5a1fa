"""State that outlives a crash: backends, an agent's part of one, and actions on it."""
