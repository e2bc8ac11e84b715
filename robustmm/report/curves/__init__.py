"""What training looked like: losses, accuracies, contributions by epoch, of a run and of a bench, as HTML and SVG."""
