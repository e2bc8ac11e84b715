"""Recorders and links that fail: clipping, levels, drop-outs, packet loss, hum, clicks."""
