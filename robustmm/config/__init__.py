"""What a user writes: recipes, TOML with readable errors, constructor options, registries, the shelf."""
