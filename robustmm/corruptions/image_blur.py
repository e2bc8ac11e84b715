"""Image blur: what lenses and movement take away."""
