"""Commands for who teaches with the course or adds to it: new, grade."""

from __future__ import annotations

import click

from milestones.terminal import write


@click.command(short_help="Lay out the files of a new op.")
@click.argument("op")
@click.option("--milestone", required=True, metavar="mN", help="Where it belongs: m0 … m7.")
def new(op: str, milestone: str) -> None:
    """Write the files that a new OP takes: reference, spec, kernel, host, mistakes, stub, mutants, a place in the course.

    Their gaps are marked TO WRITE, and the op's spec fails with those words until they are filled.
    """
    from milestones.course import new_op

    written = new_op.lay_out(op, milestone)
    write("".join(f"{path.as_posix()}\n" for path in written))
    write(f"fill what they mark {new_op.GAP}, in this order (CONTRIBUTING.md: Add an op in five steps); to see what is next:\n")
    write(f"pytest -x milestones/{milestone}/test_{op}.py\n")


COMMANDS = (new,)
