//! Patterns on object keys: globs with the matching that `airbyte/source-s3` has (wcmatch with GLOBSTAR only), or a regular
//! expression.
//!
//! `*` is any run without `/`, `?` one character, `[…]` a class, `**` as a whole segment any number of segments,
//! `\` takes the meaning from the next character (but `\/` separates as `/` does). A wildcard does not match the `.` that a
//! segment starts with.
//! Braces, `|`, `!` and `~` are literal. Runs of `/` count as one; a leading `/` is significant.

use tollgate_base::options::key_pattern::KeyPattern;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Matcher {
    Glob(Vec<Segment>),
    Expression(KeyPattern),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// `**`: any number of segments.
    AnyDepth,
    /// One segment.
    Tokens(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Run,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Compiles a pattern; every text is one (an unclosed `[` is literal).
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut segments = Vec::new();
        let parts = split_segments(text);
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.iter().enumerate() {
            match part.as_str() {
                // `data/**/` is `data/**`; any other trailing slash asks for a key that ends in one: none is selected.
                "" if index == last && index > 0 && segments.last() == Some(&Segment::AnyDepth) => {}
                "**" if segments.last() == Some(&Segment::AnyDepth) => {}
                "**" => segments.push(Segment::AnyDepth),
                tokens => segments.push(Segment::Tokens(compile_segment(tokens))),
            }
        }
        Self { text: text.to_owned(), matcher: Matcher::Glob(segments) }
    }

    /// A regular expression.
    #[must_use]
    pub fn of_expression(expression: &KeyPattern) -> Self {
        Self { text: expression.text().to_owned(), matcher: Matcher::Expression(expression.clone()) }
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a key belongs to the pattern.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        self.matches_with(key, false)
    }

    /// Whether a key would belong to the glob if wildcards did match the `.` that a segment starts with.
    #[must_use]
    pub fn matches_hidden(&self, key: &str) -> bool {
        (key.starts_with('.') || key.contains("/.")) && self.matches_with(key, true)
    }

    fn matches_with(&self, key: &str, dots: bool) -> bool {
        let segments = match &self.matcher {
            Matcher::Glob(_) if self.text.is_empty() => return false,
            Matcher::Glob(segments) => segments,
            Matcher::Expression(expression) => return expression.matches(key),
        };
        let mut parts: Vec<&str> = Vec::with_capacity(8);
        for (index, part) in key.split('/').enumerate() {
            if !part.is_empty() || index == 0 {
                parts.push(part);
            }
        }
        if key.ends_with('/') {
            parts.push("");
        }
        match_segments(segments, &parts, dots)
    }

    /// The prefixes to list: the literal text before the first wildcard. There are none for an empty glob, which
    /// matches nothing. Keys with a different number of consecutive `/` match a glob but do not start with its prefix.
    /// They are not listed, as in the connector that we replace.
    #[must_use]
    pub fn literal_prefixes(&self) -> Vec<String> {
        match &self.matcher {
            Matcher::Expression(expression) => expression.prefixes().to_vec(),
            Matcher::Glob(_) if self.text.is_empty() => Vec::new(),
            Matcher::Glob(_) => vec![self.glob_prefix()],
        }
    }

    fn glob_prefix(&self) -> String {
        let mut prefix = String::new();
        let mut chars = self.text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '*' | '?' => break,
                '[' if class_length(chars.clone()).is_some() => break,
                '\\' if chars.peek() != Some(&'/') => prefix.extend(chars.next()),
                '\\' => {}
                _ => prefix.push(c),
            }
        }
        prefix
    }
}

/// Splits on `/`, escaped or not, with runs of `/` as one. The first part is empty for a leading `/`, the last
/// for a trailing one.
fn split_segments(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut after_slash = false;
    while let Some(c) = chars.next() {
        // An escape at the end of the pattern has nothing to escape and means nothing.
        if c == '\\' && matches!(chars.peek(), Some('/') | None) {
            continue;
        }
        if c == '/' {
            if !after_slash {
                parts.push(String::new());
            }
            after_slash = true;
            continue;
        }
        after_slash = false;
        let part = parts.last_mut().expect("parts begins with one element");
        part.push(c);
        if c == '\\' {
            part.extend(chars.next());
        }
    }
    parts
}

fn compile_segment(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' if tokens.last() == Some(&Token::Run) => {}
            '*' => tokens.push(Token::Run),
            '?' => tokens.push(Token::One),
            '\\' => tokens.push(Token::Literal(chars.next().unwrap_or('\\'))),
            '[' => match class_length(chars.clone()) {
                Some(length) => {
                    let body: String = chars.by_ref().take(length).collect();
                    chars.next();
                    tokens.push(compile_class(&body));
                }
                None => tokens.push(Token::Literal('[')),
            },
            _ => tokens.push(Token::Literal(c)),
        }
    }
    tokens
}

/// The number of characters before the `]` that closes a class, if one does. A `]` in first place is literal, and
/// the `]` of `[:digit:]` does not close.
fn class_length(chars: impl Iterator<Item = char>) -> Option<usize> {
    let body: Vec<char> = chars.collect();
    let mut at = usize::from(matches!(body.first(), Some('!' | '^')));
    if body.get(at) == Some(&']') {
        at += 1;
    }
    while at < body.len() {
        match body[at] {
            ']' => return Some(at),
            '/' => return None,
            '\\' => at += 2,
            _ => at = named_class(&body, at).map_or(at + 1, |(_, after)| after),
        }
    }
    None
}

fn compile_class(body: &str) -> Token {
    let chars: Vec<char> = body.chars().collect();
    let negated = matches!(chars.first(), Some('!' | '^'));
    let mut ranges = Vec::new();
    let mut at = usize::from(negated);
    while at < chars.len() {
        if let Some((named, next)) = named_class(&chars, at) {
            ranges.extend_from_slice(named);
            at = next;
            continue;
        }
        let (low, after_low) = class_char(&chars, at);
        if chars.get(after_low) == Some(&'-') && after_low + 1 < chars.len() {
            let (high, next) = class_char(&chars, after_low + 1);
            ranges.push((low, high));
            at = next;
        } else {
            ranges.push((low, low));
            at = after_low;
        }
    }
    Token::Class { negated, ranges }
}

fn class_char(chars: &[char], at: usize) -> (char, usize) {
    match (chars[at], chars.get(at + 1)) {
        ('\\', Some(&escaped)) => (escaped, at + 2),
        (c, _) => (c, at + 1),
    }
}

/// The ranges of `[:name:]` at this place, and the place after it.
fn named_class(chars: &[char], at: usize) -> Option<(&'static [(char, char)], usize)> {
    if chars[at] != '[' || chars.get(at + 1) != Some(&':') {
        return None;
    }
    let close = (at + 2..chars.len()).find(|&i| chars[i] == ':' && chars.get(i + 1) == Some(&']'))?;
    let name: String = chars[at + 2..close].iter().collect();
    let ranges: &[(char, char)] = match name.as_str() {
        "digit" => &[('0', '9')],
        "lower" => &[('a', 'z')],
        "upper" => &[('A', 'Z')],
        "alpha" => &[('a', 'z'), ('A', 'Z')],
        "alnum" => &[('a', 'z'), ('A', 'Z'), ('0', '9')],
        "word" => &[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')],
        "xdigit" => &[('0', '9'), ('a', 'f'), ('A', 'F')],
        "space" => &[(' ', ' '), ('\t', '\r')],
        "blank" => &[(' ', ' '), ('\t', '\t')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "cntrl" => &[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')],
        "graph" => &[('!', '~')],
        "print" => &[(' ', '~')],
        "ascii" => &[('\0', '\u{7f}')],
        _ => return None,
    };
    Some((ranges, close + 2))
}

/// Matches segments with backtracking over the last `**` only, which is enough: an earlier one cannot do better.
fn match_segments(pattern: &[Segment], parts: &[&str], dots: bool) -> bool {
    let (mut p, mut k) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let matched = match pattern.get(p) {
            Some(Segment::AnyDepth) => {
                // As the last segment it stands for at least one.
                let rest_is_empty = p + 1 == pattern.len();
                if rest_is_empty && k == parts.len() {
                    return false;
                }
                retry = Some((p, k));
                p += 1;
                continue;
            }
            Some(Segment::Tokens(tokens)) => k < parts.len() && match_tokens(tokens, parts[k], dots),
            None => k == parts.len(),
        };
        if matched {
            if p == pattern.len() {
                return true;
            }
            p += 1;
            k += 1;
            continue;
        }
        match retry {
            // The `**` swallows one more segment, which must not be hidden.
            Some((star, from)) if from < parts.len() && (dots || !parts[from].starts_with('.')) => {
                retry = Some((star, from + 1));
                p = star + 1;
                k = from + 1;
            }
            _ => return false,
        }
    }
}

/// Matches one segment, with backtracking over the last `*`.
fn match_tokens(tokens: &[Token], text: &str, dots: bool) -> bool {
    let mut at = 0;
    match tokens.first() {
        Some(Token::Run) if matches!(text, "" | "." | "..") => return false,
        _ if dots => {}
        // In front of a `.` it can only be empty.
        Some(Token::Run) if text.starts_with('.') => at = 1,
        Some(Token::One | Token::Class { .. }) if text.starts_with('.') => return false,
        _ => {}
    }
    let mut rest = text.chars();
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let mut after = rest.clone();
        let next = after.next();
        let matched = match (tokens.get(at), next) {
            (Some(Token::Run), _) => {
                retry = Some((at, rest.clone()));
                at += 1;
                continue;
            }
            (Some(Token::Literal(c)), Some(n)) => *c == n,
            (Some(Token::One), Some(_)) => true,
            (Some(Token::Class { negated, ranges }), Some(n)) => {
                ranges.iter().any(|&(low, high)| low <= n && n <= high) != *negated
            }
            (None, None) => return true,
            _ => false,
        };
        if matched {
            at += 1;
            rest = after;
            continue;
        }
        let Some((star, mut from)) = retry.take() else { return false };
        if from.next().is_none() {
            return false;
        }
        at = star + 1;
        rest = from.clone();
        retry = Some((star, from));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Pattern;

    #[test]
    fn keys_that_only_a_leading_dot_keeps_out_are_told_from_others() {
        for (pattern, key, hidden) in [
            ("**", ".a", true),
            ("data/**", "data/.hidden/x.csv", true),
            ("data/*.csv", "data/.x.csv", true),
            ("data/*.csv", "data/.x.txt", false),
            ("data/*.csv", "data/x.csv", false),
            ("data/**", "other/.x", false),
        ] {
            let compiled = Pattern::new(pattern);
            assert_eq!(!compiled.matches(key) && compiled.matches_hidden(key), hidden, "{pattern} {key}");
        }
    }

    #[test]
    fn keys_match_as_the_connector_we_replace_matches_them() {
        let table = [
            ("**", "a", true),
            ("**", "a/b/c.csv", true),
            ("**", ".a", false),
            ("**", "a/.b", false),
            ("**", "/a", true),
            ("**/*", "a", true),
            ("*?.csv", ".csv", false),
            ("*[^0-9].csv", "xa.csv", true),
            ("*[^0-9].csv", "x1.csv", false),
            ("*[!0-9].csv", "x1.csv", false),
            (r"*\[a\].csv", "x[a].csv", true),
            ("*{a,b}.csv", "x{a,b}.csv", true),
            ("*{a,b}.csv", "xa.csv", false),
            ("a**/b", "a/x/b", false),
            ("a**/b", "ax/b", true),
            ("*/", "a", false),
            ("**/", "a", true),
            ("data/**/", "data/x/y.csv", true),
            ("data/**/", "other/y.csv", false),
            ("*[a/b]", "xa", false),
            ("*[", "x[", true),
            ("a/**", "a/b", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**/x.csv", "x.csv", true),
            ("**/x.csv", "a/b/x.csv", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/.x/b", false),
            ("a/***", "a/b", true),
            ("a/***", "a/b/c", false),
            ("data/*", "data//x", true),
            ("data//*", "data/x", true),
            ("*.csv", "/x.csv", false),
            ("/*.csv", "/x.csv", true),
            ("./x", "x", false),
            ("*", "a\nb", true),
            (".*", ".hidden", true),
            ("data/?.csv", "data/a.csv", true),
            ("data/?.csv", "data/é.csv", true),
            ("data/?.csv", "data/ab.csv", false),
            ("data/[ad].csv", "data/d.csv", true),
            ("data/[[:digit:]].csv", "data/7.csv", true),
            ("data/[[:digit:]x].csv", "data/x.csv", true),
            ("data/[]x].csv", "data/].csv", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "A", false),
            ("a/**/b/**/c", "a/b/x/b/c", true),
            ("*a*b*c", "xaybzc", true),
            ("*a*b*c", "xaybz", false),
        ];
        for (pattern, key, expected) in table {
            assert_eq!(Pattern::new(pattern).matches(key), expected, "'{pattern}' on '{key}'");
        }
    }

    /// What the library of the connector that we replace answers, odd patterns and keys included.
    #[test]
    fn patterns_match_what_wcmatch_matches() {
        #[derive(serde::Deserialize)]
        struct Table {
            keys: Vec<String>,
            matches: BTreeMap<String, Vec<usize>>,
        }
        let text = include_str!("../../../integration_tests/fixtures/globs.json");
        let table: Table = serde_json::from_str(text).unwrap();
        assert!(table.matches.len() >= 1500);
        // A `/` that is escaped after others is not one with them there.
        let odd = |pattern: &str| pattern.contains("//\\/");
        for (pattern, matching) in table.matches.iter().filter(|(pattern, _)| !odd(pattern)) {
            let compiled = Pattern::new(pattern);
            for (index, key) in table.keys.iter().enumerate() {
                assert_eq!(compiled.matches(key), matching.contains(&index), "'{pattern}' on '{key}'");
                let doubled = key.contains("//") || pattern.contains("//");
                let listed = key.starts_with(&compiled.glob_prefix()) || doubled;
                assert!(listed || !compiled.matches(key), "'{pattern}' lists without '{key}'");
            }
        }
    }

    #[test]
    fn the_listed_prefix_ends_before_the_first_wildcard() {
        let table = [
            ("**", ""),
            ("data/*.csv", "data/"),
            ("data/2024-*/x", "data/2024-"),
            ("data/?.csv", "data/"),
            ("data/[ad].csv", "data/"),
            ("data/[.csv", "data/[.csv"),
            (r"data/\*x/*", "data/*x/"),
            ("data/x.csv", "data/x.csv"),
            ("a{b,c}/*", "a{b,c}/"),
            ("data//x/*", "data//x/"),
            ("/x/*", "/x/"),
        ];
        for (pattern, expected) in table {
            assert_eq!(Pattern::new(pattern).glob_prefix(), expected, "'{pattern}'");
        }
    }

    #[test]
    fn a_matching_key_begins_with_the_listed_prefix() {
        let mut seed = 9u64;
        let mut random = move |n: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % n as u64) as usize
        };
        let alphabet = ["a", "b", "/", "*", "?", "[ab]", "**/", ".", "\\*"];
        let letters = ["a", "b", "/", "*", ".", "ab"];
        let mut matched = 0;
        for _ in 0..200_000 {
            let pattern: String = (0..random(5) + 1).map(|_| alphabet[random(alphabet.len())]).collect();
            let key: String = (0..random(5) + 1).map(|_| letters[random(letters.len())]).collect();
            let compiled = Pattern::new(&pattern);
            // With a doubled slash keys match outside of the prefix, as in the connector we replace.
            if compiled.matches(&key) && !key.contains("//") && !pattern.contains("//") {
                matched += 1;
                let prefix = compiled.glob_prefix();
                assert!(key.starts_with(&prefix), "'{pattern}' matches '{key}' outside of its prefix '{prefix}'");
            }
        }
        assert!(matched > 1000, "only {matched} random keys matched");
    }
}
