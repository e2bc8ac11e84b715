"""Image weather: snow, frost, fog and spatter."""
