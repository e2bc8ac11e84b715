"""What `robustmm compare` shows: a screen, and a page with every condition."""
