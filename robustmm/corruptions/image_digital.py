"""Image processing: levels, compression, resampling and warping."""
