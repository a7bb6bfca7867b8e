"""Processes that tests start: one that hangs is ended, with all that it has started, and is a failure with a name."""

import os
import signal
import subprocess

import pytest


def run_child(command, *, limit=110, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options):
    """Like `subprocess.run` of texts, but for what happens after `limit` seconds, fewer than the test itself has."""
    options = {"stdout": stdout, "stderr": stderr, "text": True, "start_new_session": True, **options}
    with subprocess.Popen(command, **options) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            output, errors = _ended(process)
            pytest.fail(f"not done after {limit} seconds: {command}\n{(output or '')[-5000:]}{(errors or '')[-5000:]}")
        finally:
            if process.poll() is None:  # the test itself is interrupted
                _ended(process)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _ended(process):
    """What it has written; it may end its own children first, which `torchrun` keeps in sessions of their own."""
    for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, None)):
        os.killpg(process.pid, number)
        try:
            return process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("a killed process goes on")
