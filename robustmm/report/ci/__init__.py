"""What CI reads of an audit: a job summary in Markdown, gates as JUnit test cases, gates as SARIF results."""
