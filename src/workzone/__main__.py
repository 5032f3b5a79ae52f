"""``python -m workzone``, which ``accelerate launch -m workzone`` needs."""

from workzone.cli import main

main()
