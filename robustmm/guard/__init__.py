"""A guard inside the graph: which modality of a sample not to listen to, by expected gain."""
