"""Commands for models of other tools: what they hold, and whether they are read as their user knows them."""
