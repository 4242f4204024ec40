"""`python -m tests.simulation --profile consensus|network|all --seeds N [--seed FIRST] [--json]`, or `--mutants`.

Runs seeds FIRST..FIRST+N-1 of the profile in two processes.  Exits 1 when a seed violates a rule, naming the seed, or
when a campaign of some size never met what it is meant to meet.  `--mutants` breaks the rules of consensus one by one
and prints what notices: the seed or the story, and after how many seeds; exits 1 when one goes unnoticed.
"""

import argparse
import json
import sys
from dataclasses import asdict

from tests.simulation.campaign import PROFILES, campaign


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--profile", choices=(*PROFILES, "all"), default="all")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--json", action="store_true", help="one JSON object per profile, without progress")
    parser.add_argument("--mutants", action="store_true", help="print the mutation table")
    options = parser.parse_args()
    if options.mutants:
        return mutation_table(as_json=options.json)
    wanted = PROFILES if options.profile == "all" else (options.profile,)
    failed = False
    for profile in wanted:
        summary = campaign(profile, options.seed, options.seeds, progress=not options.json)
        failed |= bool(summary.violations)
        if options.json:
            print(json.dumps(asdict(summary), sort_keys=True))
        else:
            verdict = "FAILED" if summary.violations else "ok"
            print(
                f"{profile}: {summary.seeds} seeds from {summary.first}, "
                f"{len(summary.violations)} violations: {verdict}"
            )
            for name, count in summary.coverage.items():
                print(f"  {name:32}{count:>12}")
            print(f"  hash {summary.hash}")
            for violation in summary.violations:
                print(f"  {violation}")
    return 1 if failed else 0


def mutation_table(*, as_json: bool) -> int:
    """Judge every mutant; 0 if each did what the table promises."""
    from tests.simulation.table import judged, line_of  # noqa: PLC0415 - a campaign needs none of it

    outcomes = []
    for outcome in judged(search=True):
        outcomes.append(outcome)
        print(line_of(outcome), file=sys.stderr if as_json else sys.stdout, flush=True)
    wrong = [outcome.row.name for outcome in outcomes if not outcome.right]
    caught = {outcome.row.name: [outcome.by, outcome.seeds] for outcome in outcomes if outcome.caught}
    if as_json:
        print(json.dumps({"caught": caught, "mutants": len(outcomes), "wrong": wrong}, sort_keys=True))
    else:
        print(f"{len(outcomes)} mutants, {len(caught)} caught, {len(wrong)} otherwise than promised")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
