"""What can be named, what it says, and what this machine has."""
