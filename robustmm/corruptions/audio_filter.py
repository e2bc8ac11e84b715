"""Audio channels: filters, rooms, and what codecs leave."""
