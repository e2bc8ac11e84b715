"""What happens to samples: corruptions and missing inputs, as conditions, plans and suites."""
