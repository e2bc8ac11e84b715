"""A bench as people read it: what will be trained, what was chosen, tables of any width, CSV, Markdown and LaTeX."""
