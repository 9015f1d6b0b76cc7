"""Runs checks, functions whose names are sentences, and counts them."""

import sys
import traceback


def run(checks, subject):
    """Runs each check on the subject, says which failed and why, and answers an exit code."""
    failed = []
    for function in checks:
        name = function.__name__.replace("_", " ")
        print(f"  {name}", flush=True)
        try:
            function(subject)
        except Exception:  # whatever it is, the check has failed and the next one runs
            traceback.print_exc(file=sys.stdout)
            failed.append(name)
            print(f"  FAILED: {name}", flush=True)
    print(f"{len(checks) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0
