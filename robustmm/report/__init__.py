"""Results as people read them: rich tables and bars."""
