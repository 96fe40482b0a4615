"""Reads what cargo-llvm-cov has counted, and says which regions no test goes through."""

import collections
import json
import pathlib
import re
import sys

CODE = 0  # the kind of region that is not a macro's, a gap or a branch
GOALS = {"shared": 98.0, "handlers": 95.0}
ROOT = pathlib.Path().resolve()


def part(file: str) -> str | None:
    """What a file belongs to, if its regions count."""
    if re.fullmatch(r"shared/src/\w+\.rs", file):
        return "shared"
    # Each function's `main.rs` only reads settings and hands events on.
    if re.fullmatch(r"functions/[a-z-]+/src/(?!main)\w+\.rs", file):
        return "handlers"
    return None


def within(path: str) -> str:
    path = pathlib.Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""


regions: dict[tuple, int] = collections.Counter()
for function in json.loads(pathlib.Path(sys.argv[1]).read_text())["data"][0]["functions"]:
    # Mangled: a module `tests` is `5tests`.
    if "5tests" in function["name"] or "6killed" in function["name"]:
        continue
    for line, column, end_line, end_column, count, file, _, kind in function["regions"]:
        name = within(function["filenames"][file])
        if kind == CODE and part(name):
            regions[name, line, column, end_line, end_column] += count

by_file: dict[str, list[tuple]] = collections.defaultdict(list)
for place in regions:
    by_file[place[0]].append(place)
totals = {name: [0, 0] for name in GOALS}
for file, places in sorted(by_file.items()):
    missed = sorted(place for place in places if not regions[place])
    total = totals[part(file)]
    total[0] += len(places) - len(missed)
    total[1] += len(places)
    print(f"{100 * (1 - len(missed) / len(places)):6.2f} %  {len(places):5} regions  {file}")
    for _, line, column, end_line, _ in missed:
        text = (ROOT / file).read_text().splitlines()[line - 1][column - 1:].strip()
        print(f"           nobody comes to {file}:{line}:{column} {text[:70]}")
percent = {name: round(100 * covered / max(1, all_of), 2) for name, (covered, all_of) in totals.items()}
holds = all(percent[name] >= goal for name, goal in GOALS.items())
print(json.dumps({
    "gate": "G6", "holds": holds,
    **{f"{name}_{what}": value for name in GOALS
       for what, value in [("percent", percent[name]), ("goal", GOALS[name]), ("regions", totals[name][1])]},
}))
sys.exit(0 if holds else 1)
