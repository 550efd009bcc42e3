#!/usr/bin/env python3
"""Makes unicode.tsv from files of the Unicode Character Database. See README.md.

Usage: make.py DIRECTORY > unicode.tsv

DIRECTORY holds UnicodeData.txt, Blocks.txt, Scripts.txt and DerivedAge.txt of one version of the database.
"""

import json
import pathlib
import sys

FIELDS = [
    # The fields of UnicodeData.txt after the code point, by their position there.
    (1, "name"),
    (2, "category"),
    (3, "combining_class"),
    (4, "bidi_class"),
    (5, "decomposition"),
    (8, "numeric_value"),
    (9, "mirrored"),
    (10, "unicode_1_name"),
    (12, "uppercase"),
    (13, "lowercase"),
    (14, "titlecase"),
]
# What a field holds for nearly every code point, and is left out.
DEFAULTS = {"combining_class": "0", "mirrored": "N"}


def ranges(path):
    """The lines `first..last ; value` of a file, as (first, last, value)."""
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line:
            span, value = (part.strip() for part in line.split(";"))
            first, _, last = span.partition("..")
            yield int(first, 16), int(last or first, 16), value


def by_code_point(path):
    return {c: value for first, last, value in ranges(path) for c in range(first, last + 1)}


def main(directory):
    properties = {
        "block": by_code_point(directory / "Blocks.txt"),
        "script": by_code_point(directory / "Scripts.txt"),
        "age": by_code_point(directory / "DerivedAge.txt"),
    }
    for line in (directory / "UnicodeData.txt").read_text(encoding="ascii").splitlines():
        fields = line.split(";")
        row = {name: fields[i] for i, name in FIELDS if fields[i] not in ("", DEFAULTS.get(name))}
        code_point = int(fields[0], 16)
        row |= {name: values[code_point] for name, values in properties.items() if code_point in values}
        print(f"U+{fields[0]}\t{json.dumps(row, ensure_ascii=False, separators=(',', ':'))}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
