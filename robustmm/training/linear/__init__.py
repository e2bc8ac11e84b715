"""Linear models on simple features: the line that a training has to beat."""
