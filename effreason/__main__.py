"""`python -m effreason` is `effreason`."""

import sys

from effreason.cli import main

sys.exit(main())
