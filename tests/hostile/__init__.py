"""Hostile inputs: seeded generators, a file a campaign, each input run as a command of its own and judged.

`test_hostile.py` tries a few hundred of them; `python benchmarks/hostile.py` as many as one likes.
`kills.py` damages no input, but ends commands at any moment: `python benchmarks/kills.py`.
"""
