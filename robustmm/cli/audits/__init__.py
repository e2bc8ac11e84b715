"""Commands about audits: made, gated, compared, verified, reported."""
