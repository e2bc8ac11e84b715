"""Gates: which conditions and groups they are held against, what is judged, and the verdict."""
