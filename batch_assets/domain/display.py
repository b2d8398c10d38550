"""Words for people: text that others wrote, made safe to show, and what sentences are made of.

Company names, roles, models and processing types are LiveDash's, codes and ids are a server's,
answers are a model's: shown, it is text and nothing else. `docs/text_from_others.md` says which way
out uses which function.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

_JOINERS: Final = "\u200c\u200d"
"""Invisible, but part of Persian and Indic words and of emoji."""
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control (ANSI's ESC among them), format (bidi among them), surrogates, line separators."""
_NOT_ASCII: Final = re.compile("[^ -~]")
_FORMULA_STARTS: Final = ("=", "+", "-", "@")
_MOST_NAMED: Final = 5
_WORD_JOINER: Final = "\u2060"
_COMMANDS: Final = re.compile(
    r"(?<=@)|(?<=\])(?=[(\[:])|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE
)
"""Where an invisible U+2060 keeps others' programs from seeing a mention or a link."""
_MARKS: Final = str.maketrans("*`~|<>$", "\u2217\u02cb\u223c\u2223\u2039\u203a\uff04")
"""Marks of bold, code, struck-out and hidden text, tags and formulas; what looks so is none."""
_LONE_UNDERSCORE: Final = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""Italic in Slack and Markdown; within a word, as in the names of alerts and ids, it is itself."""


def escaped(text: str) -> str:
    r"""The text on one line for a terminal or a log: what is invisible or steers is `\x1b`.

    Hand it to rich inside a `Text`, which reads no markup.
    """
    line = " ".join(text.split())
    return line if line.isprintable() else _NOT_ASCII.sub(_visible, line)


def escaped_cell(text: str) -> str:
    """The text on one line for a cell of CSV, in which no spreadsheet sees a formula."""
    shown = escaped(text)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown


def escaped_json(document: str) -> str:
    r"""A JSON document of the same meaning, in which what is invisible or steers is `\u202e`.

    JSON itself demands that only for the first 32 characters.
    """
    return "\n".join(
        line if line.isprintable() else _NOT_ASCII.sub(_visible_in_json, line)
        for line in document.split("\n")
    )


def _visible(found: re.Match[str]) -> str:
    character = found.group()
    if _is_hidden(character):
        return character.encode("unicode_escape").decode("ascii")
    return character


def _visible_in_json(found: re.Match[str]) -> str:
    character = found.group()
    return json.dumps(character)[1:-1] if _is_hidden(character) else character


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS


def plain(sentence: str) -> str:
    """One line of a sentence that may name a company, with no command, link or markup in it."""
    shown = escaped(sentence).translate(_MARKS)
    return unlinked(_LONE_UNDERSCORE.sub("\uff3f", shown))


def unlinked(sentence: str) -> str:
    """One line of a sentence of ours, which has commands to copy and at most ids of others."""
    return _COMMANDS.sub(_WORD_JOINER, escaped(sentence))


def euros(amount: float) -> str:
    """An amount; below one euro with as many digits as it takes to see it."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}"


def plural(number: int, thing: str, things: str | None = None) -> str:
    """`1 request`, `2 requests`; irregular words give their plural."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; of none nothing."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def span(seconds: float) -> str:
    """A time span in one unit, rounded down: `3 d`, `5 h`, `12 min`, `8 s`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def duration(seconds: float) -> str:
    """So many seconds, in the unit that suits them."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def waits(company: str, requests: int, seconds: float) -> str:
    """A company with what waits of it, and for how long."""
    return f"{company} ({plural(requests, 'request')}, the oldest for {span(seconds)})"


def about_cost(eur: float, requests: int, unpriced: int) -> str:
    """What requests cost, by estimate, some of which have a model without a price."""
    if not unpriced:
        return f"about {eur:.4f} EUR"
    if unpriced == requests:
        return "at a cost that is not known, since no price list has their model"
    return f"about {eur:.4f} EUR, and what {plural(unpriced, 'request')} without a price cost"


def of_unpriced(answers: int) -> str:
    """The sentence on answers whose cost is in no sum."""
    return (
        f"What {plural(answers, 'answer')} cost is not known, and in no sum: no price list has "
        "their model, or nobody has counted their tokens. BATCH_MODEL_PRICES can say what a model "
        "costs, BATCH_DEPLOYMENTS which one runs under a deployment's name; a model without a "
        "price is not sent while costs are capped."
    )


def question_of_free(model: str) -> str:
    """The question that a price of 0 in LiveDash's table is."""
    return (
        f"LiveDash's price of {model} is 0. If it costs nothing, set BATCH_MODEL_PRICES to "
        f"{model}=free, else put AIModelPricing right: until then the published price counts, "
        "and without one the cost is not known."
    )


def of_unknown_types(requests: Mapping[str, int]) -> str:
    """The warning about processing types that are not known, from their shown names."""
    most = sorted(requests.items(), key=lambda item: -item[1])[:_MOST_NAMED]
    named = ", ".join(f"{number:,} {name}" for name, number in most)
    more = len(requests) - len(most)
    return (
        f"Of an unknown processing type: {plural(sum(requests.values()), 'request')} ({named}"
        f"{f', and {more:,} more types' if more else ''}), asked everything as by full_analysis."
    )
