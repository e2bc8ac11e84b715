"""From a benchmark's raw files, as they are distributed, to a manifest: what all benchmarks share."""
