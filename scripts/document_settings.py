"""Makes the tables of docs/configuration.md from the settings as they are declared.

With `--check` nothing is written; a page that differs is a line on stderr and exit code 1.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from batch_assets.settings import all_settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"


def main(arguments: Sequence[str]) -> int:
    """0 if the page is as it should be, or was made so."""
    before = PAGE.read_text(encoding="utf-8")
    after = _between(before, "settings", _settings())
    after = _between(after, "former names", _former_names())
    if before == after:
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"{PAGE.name} is not as the settings are declared: run `make docs`.\n")
        return 1
    PAGE.write_text(after, encoding="utf-8")
    return 0


def _between(page: str, what: str, lines: Iterator[str]) -> str:
    """The page with these lines where the comments have `what` begin and end."""
    begin = f"<!-- {what}: made by `make docs` from batch_assets/settings/ -->\n"
    end = f"<!-- end of {what} -->\n"
    head, found, rest = page.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"{PAGE.name} lacks the lines {begin.strip()} and {end.strip()}.")
    return "".join((head, begin, *(f"{line}\n" for line in lines), end, tail))


def _settings() -> Iterator[str]:
    yield "| name | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for setting in all_settings():
        default = _default(setting.default)
        yield f"| `{setting.name}` | {default} | {setting.allowed} | {setting.meaning} |"


def _former_names() -> Iterator[str]:
    yield "| in version 0.1 | now |"
    yield "|---|---|"
    for setting in all_settings():
        if setting.former:
            yield f"| `{setting.former}` | `{setting.name}` |"


def _default(value: object) -> str:
    if value is None or value == {}:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
