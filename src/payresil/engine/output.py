"""Printing that cannot change an exit status: a verdict stands, whoever reads it."""

from __future__ import annotations

import os
import sys
import traceback

import click


def say(text: str) -> None:
    """Print to stdout. Where that cannot be (a closed pipe, a full disk) the rest is dropped."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_the_rest()  # the reader has what it wanted
    except OSError as error:
        _drop_the_rest()
        click.echo(f"warning: cannot print: {error}", err=True)


def told_defect(error: BaseException) -> str:
    """What is said of a defect of ours or of a plug-in; asked for, its traceback is printed too.

    To be called while `error` is handled.
    """
    if "PAYRESIL_TRACEBACK" in os.environ:
        traceback.print_exc()
        hint = ""
    else:
        hint = " (set PAYRESIL_TRACEBACK=1 to see where)"
    return f"payresil broke: {type(error).__name__}: {error}{hint}"


def _drop_the_rest() -> None:
    # Python flushes stdout once more at its end, and would complain then.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
