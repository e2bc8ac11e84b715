"""What stands in the files themselves: whether they are whole, and how they are laid out."""
