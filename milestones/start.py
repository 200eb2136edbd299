"""Where the `firstlight` command begins: nothing is imported before Ctrl-C has an end without a traceback."""


def main() -> None:
    """Entry point of the `firstlight` command."""
    try:
        from milestones.cli import main as run

        run()
    except KeyboardInterrupt:  # while modules were still being imported
        raise SystemExit(130) from None
