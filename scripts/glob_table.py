#!/usr/bin/env python3
"""Writes down which keys glob patterns match in the connector that we replace.

    python scripts/glob_table.py > integration_tests/fixtures/globs.json

Needs the library that the connector matches with: wcmatch 10 (pip install wcmatch). The table has patterns and keys by
hand, with everything that is odd about either, and patterns put together at random from odd pieces (seeded, so that the
table only changes with the library). A test of crates/plan/src/pattern.rs reads it.
"""

import json
import random
import warnings

from wcmatch.glob import GLOBSTAR, globmatch

KEYS = """
a
A
b
ab
.a
a/b
a/.b
.a/b
a/b/c
a/x/y/b
a/b/c/d.csv
a//b
a///b/c
/a
/a/b
//a
./a
../a
a/../b
a/./b
data/x.csv
data/xa.csv
data/a.csv
data/d.csv
data/7.csv
data/é.csv
data/日.csv
data/x.csv.gz
data//x.csv
data/sub/x.csv
data/sub/.hidden.csv
data/.hidden/x.csv
data/x y.csv
data/x[a].csv
data/x{a,b}.csv
data/a,b.csv
data/x|y.csv
data/!x.csv
data/~x.csv
data/-x.csv
data/x#1?.csv
data/x%20y.csv
data/x+y.csv
data/x\\y.csv
data/x*.csv
data/].csv
data/[.csv
data/^.csv
data/-.csv
data/year=2024/month=01/part-0000.parquet
data/year=2024/month=12/part-0001.snappy.parquet
root.csv
.csv
x.csv
xa.csv
x1.csv
x[a].csv
x{a,b}.csv
x[
*
**
?
!a
@(a|b)
+(a)
~
""".strip().split("\n") + ["a\nb", "data/x\ny.csv", " a", "a ", "\ta"]

PATTERNS = r"""
**
**/*
**/**
***
*
**/
*/
*/*
/**
/*
//*
**/*.csv
*.csv
.*
**/.*
.**
a
A
a/**
a/**/b
a/**/c
a/*
a/***
a**/b
a/**b
a//b
a///*
a/*/b
**/a
**/b
**/b/**
**/**/b
a/**/**/b
./a
./*
../a
a/../b
a/./*
data/*
data/**
data/**/
data/**/*.csv
data/*.csv
data/?.csv
data/??.csv
data/[ad].csv
data/[!a].csv
data/[^a].csv
data/[a-f].csv
data/[f-a].csv
data/[[:digit:]].csv
data/[![:digit:]].csv
data/[[:alpha:][:digit:]].csv
data/[[:nope:]].csv
data/[]].csv
data/[!]].csv
data/[[].csv
data/[]a].csv
data/[a
data/[a/d].csv
data/[a-].csv
data/[-a].csv
data/[\]].csv
data/[\\].csv
data/[a\-f].csv
data/x[[]a].csv
data/x\[a\].csv
data/x[a].csv
data/x{a,b}.csv
data/{a,d}.csv
data/x|y.csv
data/!x.csv
!data/**
!a
data/~x.csv
~
~/**
@(a|b)
*(a|b)
?(a)
+(a)
!(a)
data/x\*.csv
data/x\y.csv
data/x\\y.csv
data/x?y.csv
data/x*y.csv
data/*\?.csv
data/*#*
data/year=*/month=*/*.parquet
data/year=2024/**
data/**/part-0*.parquet
data/**/*.{csv,parquet}
*[
*[^0-9].csv
*[!0-9].csv
*?.csv
*\[a\].csv
*{a,b}.csv
x[[:punct:]]*
[[:space:]]a
*[[:space:]]*
[!.]*
[.]a
[.]*
?a
\.a
\a
\**
*\*
a\/b
a[/]b
**\/b
a/\**
**a
a**
**a**
**.csv
data**
data/**x.csv
data/s**/x.csv
-*
data/-*
data/[--x]*
data/[+--]x.csv
[*]
[?]
[!a-z]*
[[:upper:]]
[[:word:]]
[[:xdigit:]]b
[[:ascii:]]
[[:^alpha:]]
[a-]
[]-a]
[^]
[!]
[]
[
]
\
a\
*\
""".strip("\n").split("\n") + ["", " a", "a ", "a\nb", "*\n*"]

PIECES = ["a", "b", "x", ".", "/", "*", "?", "**", "**/", "/**", "[ab]", "[!a]", "[", "]", "\\", "\\*", "data/", ".csv",
          "{a,b}", "!", "|", "[[:alpha:]]", "[a-", "-", "year=", "//"]


def matches(key: str, pattern: str) -> bool:
    return globmatch(key, pattern, flags=GLOBSTAR)


def main() -> None:
    warnings.simplefilter("ignore")
    chance = random.Random(7)
    patterns = dict.fromkeys(PATTERNS)
    while len(patterns) < 1500:
        patterns["".join(chance.choice(PIECES) for _ in range(chance.randint(1, 6)))] = None
    keys = list(dict.fromkeys(KEYS))
    print('{"keys": [')
    print(",\n".join(json.dumps(key, ensure_ascii=False) for key in keys))
    print('], "matches": {')
    lines = []
    for pattern in patterns:
        found = [index for index, key in enumerate(keys) if matches(key, pattern)]
        lines.append(f"{json.dumps(pattern, ensure_ascii=False)}: {json.dumps(found, separators=(',', ':'))}")
    print(",\n".join(lines))
    print("}}")


if __name__ == "__main__":
    main()
