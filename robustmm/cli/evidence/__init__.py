"""Commands on a finished audit's folder."""
