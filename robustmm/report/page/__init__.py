"""The report: one HTML file that opens anywhere, with no request to any place."""
