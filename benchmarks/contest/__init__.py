"""The guard against its rivals: what each would drop, under corruptions that none of them was fitted to."""
