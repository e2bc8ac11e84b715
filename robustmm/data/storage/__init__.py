"""A split of any size: in memory, decoded once into shards on disk, or decoded anew for every batch."""
