"""The audit: every condition of a suite on an exported file, stored in cells as it runs, and their summary."""
