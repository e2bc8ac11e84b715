"""Text, character by character: slips of fingers, of scanners, of encodings."""
