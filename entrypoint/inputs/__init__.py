"""The action's inputs: parsed into one `Settings`, or every mistake in them at once."""
