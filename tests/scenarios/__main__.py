"""`python -m tests.scenarios [NAME...]`: play some stories, or all of them."""

import sys

from tests.scenarios.runner import Failed, names, play_file


def main() -> int:
    """Play; 1 if one went another way than it says."""
    failed = 0
    for name in sys.argv[1:] or names():
        try:
            story = play_file(name)
        except Failed as error:
            failed += 1
            print(f"FAILED  {name}: {error}")
        else:
            print(f"ok      {name}: {story.picture()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
