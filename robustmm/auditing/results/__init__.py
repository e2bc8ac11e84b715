"""From cells to results.json: summaries, breaking levels, curves, tables, and the published form."""
