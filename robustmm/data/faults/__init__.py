"""The faults of a data set, one kind of evidence a file."""
