"""Text, word by word: what is lost, doubled, swapped, misheard."""
