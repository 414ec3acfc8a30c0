#!/usr/bin/env python3
"""Lists import cycles between the modules of a Rust crate.

    module_cycles.py crates/config crates/read       one report for each crate (a folder with src/, or a src folder)
    module_cycles.py --edges crates/config           also every import between modules
    module_cycles.py --tests crates/config           with the code below #[cfg(test)]

A module is a file; a module written inside a file belongs to that file. An edge A -> B stands for a path in A that
ends at an item which B defines: `use crate::b::Item`, `super::b::f()`, `b::f()` of a child. A name that passes through
another module's `use` is followed to the module that defines it, so a facade with `pub use` is no cycle by itself.
`mod` alone is no edge. Exits with 1 where there is a cycle.
"""
import re
import sys
from collections import defaultdict
from pathlib import Path


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def strip(text):
    """Comments, strings and character literals become blanks; lines stay."""
    out, i, n = [], 0, len(text)
    raw = re.compile(r'\b[bc]?r(#*)"')
    char = re.compile(r"b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^\\'\n])'")
    def skip(end):
        nonlocal i
        out.append(re.sub(r"[^\n]", " ", text[i:end]))
        i = end
    while i < n:
        if text.startswith("//", i):
            end = text.find("\n", i)
            skip(n if end < 0 else end)
        elif text.startswith("/*", i):
            depth, j = 1, i + 2
            while j < n and depth:
                if text.startswith("/*", j): depth, j = depth + 1, j + 2
                elif text.startswith("*/", j): depth, j = depth - 1, j + 2
                else: j += 1
            skip(j)
        elif (m := raw.match(text, i)) and (i == 0 or not (text[i - 1].isalnum() or text[i - 1] == "_")):
            end = text.find('"' + m.group(1), m.end())
            skip(n if end < 0 else end + 1 + len(m.group(1)))
        elif text[i] == '"':
            j = i + 1
            while j < n and text[j] != '"':
                j += 2 if text[j] == "\\" else 1
            skip(min(j + 1, n))
        elif (m := char.match(text, i)):
            skip(m.end())
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


def item_end(text, start):
    """Where an item that begins at `start` ends: after its `;` or its braces."""
    depth, i = 0, start
    while i < len(text):
        c = text[i]
        if c in "([": depth += 1
        elif c in ")]": depth -= 1
        elif c == ";" and depth == 0: return i + 1
        elif c == "{":
            end = braces_end(text, i)
            # `= {` of a constant goes on to its `;`; `use a::{b};` too.
            head = text[start:i].lstrip()
            if re.match(r"(pub\s+)?(use|const|static|type)\b(?!\s+(unsafe\s+)?(extern\s+)?fn)", head):
                i = end
                continue
            return end
        i += 1
    return len(text)


def braces_end(text, start):
    depth, i = 0, start
    while i < len(text):
        if text[i] == "{": depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0: return i + 1
        i += 1
    return len(text)


CFG_TEST = re.compile(r"#\[cfg\((?:test|all\(test\b[^\]]*\))\)\]")


def without_tests(text):
    while (m := CFG_TEST.search(text)):
        i = m.end()
        while (a := re.match(r"\s*#\[", text[i:])):
            depth, j = 0, i + a.end() - 1
            while True:
                if text[j] == "[": depth += 1
                if text[j] == "]":
                    depth -= 1
                    if depth == 0: break
                j += 1
            i = j + 1
        end = item_end(text, i)
        text = text[:m.start()] + re.sub(r"[^\n]", " ", text[m.start():end]) + text[end:]
    return text


def use_tree(tree):
    """`a::{b, c as d, e::*}` -> ((path...), alias or '*')"""
    tree = tree.strip()
    if not tree:
        return []
    if "{" not in tree:
        path, _, alias = tree.partition(" as ")
        segments = [s.strip().removeprefix("r#") for s in path.split("::") if s.strip()]
        if segments and segments[-1] == "*":
            return [(tuple(segments[:-1]), "*")]
        if segments and segments[-1] == "self" and len(segments) > 1:
            segments.pop()
        return [(tuple(segments), (alias.strip() or segments[-1]))] if segments else []
    head, _, rest = tree.partition("{")
    inner = rest[: rest.rindex("}")]
    prefix = tuple(s.strip() for s in head.split("::") if s.strip())
    found, depth, part = [], 0, ""
    for c in inner + ",":
        if c == "{": depth += 1
        if c == "}": depth -= 1
        if c == "," and depth == 0:
            for path, alias in use_tree(part):
                path = path[:-1] if path == ("self",) else path
                found.append((prefix + path, prefix[-1] if alias == "self" else alias))
            part = ""
        else:
            part += c
    return found


class Module:
    def __init__(self, path, node):
        self.path, self.node = path, node      # path in the crate; the file's module
        self.children, self.items = set(), set()
        self.uses, self.globs, self.paths = {}, [], []


class Crate:
    def __init__(self, src, tests):
        self.src, self.tests, self.modules, self.lines = Path(src), tests, {}, {}
        roots = [f for f in ("lib.rs", "main.rs") if (self.src / f).exists()]
        if not roots:
            raise SystemExit(f"{src}: no lib.rs and no main.rs")
        self.read_file(self.src / roots[0], (), self.src)

    def read_file(self, file, path, folder):
        # A visibility such as `pub(in crate::a)` is no import.
        text = re.sub(r"\bpub\s*\([^)]*\)", blank, strip(file.read_text()))
        if not self.tests:
            text = without_tests(text)
        self.lines[path] = file
        self.read(text, path, path, folder, 0)

    def read(self, text, path, node, folder, offset):
        module = self.modules[path] = Module(path, node)
        # Modules inside the file first: their text is taken out.
        for m in iter(lambda: re.search(r"\bmod\s+(?:r#)?(\w+)\s*\{", text), None):
            end = braces_end(text, m.end() - 1)
            module.children.add(m.group(1))
            inner = re.sub(r"[^\n]", " ", text[: m.end()]) + text[m.end(): end - 1]
            self.read(inner, path + (m.group(1),), node, folder / m.group(1), offset)
            text = text[: m.start()] + re.sub(r"[^\n]", " ", text[m.start(): end]) + text[end:]
        for m in re.finditer(r"\bmod\s+(?:r#)?(\w+)\s*;", text):
            name = m.group(1)
            files = [folder / f"{name}.rs", folder / name / "mod.rs"]
            found = next((f for f in files if f.exists()), None)
            if found is None:
                print(f"no file for `mod {name}` of {'::'.join(path) or 'crate'}", file=sys.stderr)
                continue
            module.children.add(name)
            self.read_file(found, path + (name,), folder / name)
        text = re.sub(r"\bmod\s+(?:r#)?\w+\s*;", blank, text)
        for m in re.finditer(r"\buse\s+([^;]+);", text):
            line = text.count("\n", 0, m.start()) + 1
            for target, alias in use_tree(" ".join(m.group(1).split())):
                if alias == "*":
                    module.globs.append(target)
                else:
                    module.uses[alias] = target
                module.paths.append((target, line, True))
        text = re.sub(r"\buse\s+[^;]+;", blank, text)
        for m in re.finditer(r"\b(?:fn|struct|enum|trait|type|const|static|union|macro_rules!)\s+(?:r#)?(\w+)", text):
            module.items.add(m.group(1))
        for m in re.finditer(r"(?<![\w:])(?:\$?crate|super|self|[a-z_]\w*)(?:::\w+)+", text):
            segments = tuple(m.group(0).lstrip("$").split("::"))
            module.paths.append((segments, text.count("\n", 0, m.start()) + 1, False))

    def start(self, module, segments):
        """The module where a path begins and the segments below it; None for another crate's."""
        here, segments = module.path, list(segments)
        if segments and segments[0] == "crate":
            return (), segments[1:]
        if segments and segments[0] in ("self", "super"):
            while segments and segments[0] in ("self", "super"):
                if segments.pop(0) == "super":
                    here = here[:-1]
            return here, segments
        return (here, segments) if segments and segments[0] in module.children else None

    def resolve(self, module, segments, seen=frozenset()):
        """The file's module in which a path ends, or None."""
        began = self.start(module, segments)
        if began is None:
            # A name that this module imported: the rest of the path goes on from there.
            if segments and segments[0] in module.uses and (module.path, segments[0]) not in seen:
                target = module.uses[segments[0]] + tuple(segments[1:])
                if target != tuple(segments):
                    return self.resolve(module, target, seen | {(module.path, segments[0])})
            return None
        here, rest = began
        while True:
            current = self.modules.get(here)
            if current is None:
                return None
            if not rest:
                return current.node
            name = rest[0]
            if name in current.children:
                here, rest = here + (name,), rest[1:]
                continue
            if name in current.items:
                return current.node
            key = (here, name)
            if key in seen:
                return current.node
            if name in current.uses:
                target = current.uses[name]
                return self.resolve(current, target + tuple(rest[1:]), seen | {key})
            for glob in current.globs:
                found = self.resolve(current, glob + (name,), seen | {key})
                if found is not None and found != current.node:
                    return found
            return current.node

    def edges(self):
        edges = defaultdict(list)
        for module in self.modules.values():
            for segments, line, _ in module.paths:
                target = self.resolve(module, segments)
                if target is not None and target != module.node:
                    edges[module.node, target].append((line, "::".join(segments)))
        return edges


def components(nodes, edges):
    """Strongly connected components of more than one node (Tarjan, without recursion)."""
    after = defaultdict(list)
    for a, b in edges:
        after[a].append(b)
    index, low, stack, on, found, counter = {}, {}, [], set(), [], 0
    for root in nodes:
        if root in index:
            continue
        work = [(root, iter(after[root]))]
        index[root] = low[root] = counter; counter += 1
        stack.append(root); on.add(root)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = counter; counter += 1
                    stack.append(other); on.add(other)
                    work.append((other, iter(after[other])))
                    break
                if other in on:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = []
                    while True:
                        other = stack.pop(); on.discard(other); group.append(other)
                        if other == node: break
                    if len(group) > 1:
                        found.append(sorted(group))
    return found


def main(arguments):
    flags = {a for a in arguments if a.startswith("--")}
    folders = [a for a in arguments if not a.startswith("--")]
    if not folders or flags - {"--edges", "--tests"}:
        print(__doc__)
        return 2
    name = lambda node: "::".join(node) or "(root)"
    bad = 0
    for folder in folders:
        src = Path(folder) / "src" if (Path(folder) / "src").is_dir() else Path(folder)
        crate = Crate(src, "--tests" in flags)
        edges = crate.edges()
        nodes = sorted(crate.lines)
        groups = components(nodes, edges)
        print(f"{folder}: {len(nodes)} modules, {len(edges)} edges, "
              f"{sum(map(len, groups))} modules in {len(groups)} cycle(s)")
        if "--edges" in flags:
            for (a, b), uses in sorted(edges.items()):
                print(f"    {name(a)} -> {name(b)}: {', '.join(sorted({u for _, u in uses}))}")
        for group in groups:
            bad += 1
            print(f"  cycle of {len(group)}: {', '.join(map(name, group))}")
            inside = set(group)
            for (a, b), uses in sorted(edges.items()):
                if a in inside and b in inside:
                    shown = ", ".join(f"{u} (line {line})" for line, u in uses[:3])
                    more = f" and {len(uses) - 3} more" if len(uses) > 3 else ""
                    print(f"    {name(a)} -> {name(b)}: {shown}{more}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
