"""What a user writes down and names: recipes, TOML as sentences, constructor options, registries, the shelf."""
