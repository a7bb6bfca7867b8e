"""Trainings that a signal ends, in processes of their own."""

import json
import sys
from pathlib import Path

from children import run_child

# loading torch takes seconds, so one process does it; each call has a copy of that process, one after the other
SCRIPT = """
import importlib, json, os, sys
sys.path[:0] = [sys.argv[1], os.path.dirname(sys.argv[1])]
function = getattr(importlib.import_module(sys.argv[2]), sys.argv[3])
for arguments in sys.argv[4:]:
    process = os.fork()
    if not process:
        function(*json.loads(arguments))
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


def endings(function, *calls):
    """The codes with which processes end that call a function of a test's module, and what they all write as errors."""
    place = Path(function.__code__.co_filename)
    words = [[str(word) for word in call] for call in calls]
    command = [sys.executable, "-c", SCRIPT, str(place.parent), place.stem, function.__name__, *map(json.dumps, words)]
    done = run_child(command)
    assert done.returncode == 0, done.stderr
    return [int(code) for code in done.stdout.splitlines()], done.stderr
