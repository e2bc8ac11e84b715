"""The audit: every condition of a suite on an exported file, kept in cells as it goes, and what follows from them."""
