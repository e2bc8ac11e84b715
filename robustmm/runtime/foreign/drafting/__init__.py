"""The first draft of a description, from a graph and the files beside it."""
