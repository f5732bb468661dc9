"""The command `penstock`: the program of the package, with the commands that need Python beside it."""

import os
import sys


def main() -> None:
    """Runs the command with the arguments of the process, and does not return."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["verify"]:
        from ._verify import main as verify

        sys.exit(verify(arguments[1:]))
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "penstock")
    try:
        os.execv(program, ["penstock", *arguments])
    except OSError as error:
        sys.exit(f"penstock: {program} cannot be run: {error.strerror}; install the package again")


if __name__ == "__main__":
    main()
