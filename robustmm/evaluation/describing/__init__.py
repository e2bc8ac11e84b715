"""A description of a foreign model, filled in from the data that it will be evaluated on."""
