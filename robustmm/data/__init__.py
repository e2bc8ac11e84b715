"""Tables to signals: manifests, reading, checks, drafts of recipes, the embedded digits."""
