"""A session, a manifest and conditions to records, and the numbers of attack and predict."""
