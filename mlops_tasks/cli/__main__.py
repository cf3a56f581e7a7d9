"""`python -m mlops_tasks.cli`."""

from mlops_tasks.cli import main

main()
