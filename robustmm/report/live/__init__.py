"""What is printed while work runs: consoles, progress, live views."""
