"""What fits on one screen of an audit, in words and rows that every format shares."""
