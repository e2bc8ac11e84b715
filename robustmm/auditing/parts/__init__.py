"""An audit in parts: a plan of its work, a part of it on any machine, and the union of their cells."""
