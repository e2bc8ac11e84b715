"""`python -m robustmm`."""

from robustmm.cli import main

main()
