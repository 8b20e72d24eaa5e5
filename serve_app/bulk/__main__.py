"""`python -m serve_app.bulk MANIFEST --out DIR`, for `ray job submit`: the same as `dsocr bulk`."""

import sys

from serve_app.cli import main

if __name__ == "__main__":
    main(["bulk", *sys.argv[1:]])
