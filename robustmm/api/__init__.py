"""The Python face: what a notebook calls as `robustmm.NAME`, and the command line calls too."""
