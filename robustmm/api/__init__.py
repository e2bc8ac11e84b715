"""The Python face: seven functions that a notebook calls as `robustmm.NAME`, and that the command line calls too."""
