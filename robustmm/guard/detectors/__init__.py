"""What tells that an input is not as those of the train split: a file a detector."""
