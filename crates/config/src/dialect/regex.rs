//! Fivetran selects files by regular expressions, this program by globs. Most expressions that people write have globs
//! that match the same keys; the others are refused.
//!
//! ```text
//!   expression ─▶ alternatives, each a row of tokens ─▶ globs
//!   .*\.csv                 any, ".csv"                  **/*.csv
//!   (a|b)/x.*               "a/x", any | "b/x", any      a/x*  a/x*/**/*  b/x*  b/x*/**/*
//! ```
//! A dot of an expression matches a slash too, and a wildcard of a glob does not: hence several globs for one `.*`.
//! The expression must match the whole rest of the key. The one difference that stays: a wildcard does not match a name
//! that begins with a dot.

/// More globs than that for one expression, and it is refused.
const GLOBS_AT_MOST: usize = 32;

/// No key of S3 is longer.
const KEY_CHARS_AT_MOST: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This character.
    Char(char),
    /// One character of a class that has no slash, in the syntax of globs.
    Class(String),
    /// `.`
    Dot,
    /// `.*`
    Any,
    /// `.+`
    Some,
    /// `[^/]*`
    AnyInName,
    /// `[^/]+`
    SomeInName,
}

type Row = Vec<Token>;

/// The globs of an expression, or why there are none.
pub(super) fn globs(expression: &str) -> Result<Vec<String>, String> {
    let body = expression.strip_prefix('^').unwrap_or(expression);
    let body = match body.strip_suffix('$') {
        Some(without) if !without.ends_with('\\') => without,
        _ => body,
    };
    let mut parser = Parser { rest: body.chars().peekable() };
    let rows = parser.alternatives(0)?;
    if parser.rest.peek().is_some() {
        return Err("a `)` without a `(`".to_owned());
    }
    let mut globs = Vec::new();
    for row in rows {
        for glob in row_globs(&row)? {
            if !globs.contains(&glob) {
                globs.push(glob);
            }
        }
        if globs.len() > GLOBS_AT_MOST {
            return Err(too_many());
        }
    }
    Ok(globs)
}

fn too_many() -> String {
    format!("it would take more than {GLOBS_AT_MOST} globs")
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Parser<'_> {
    /// `a|b|c`, up to the end or a `)`.
    fn alternatives(&mut self, depth: usize) -> Result<Vec<Row>, String> {
        if depth > 8 {
            return Err("groups nested more than 8 deep".to_owned());
        }
        let mut all = self.row(depth)?;
        while self.rest.next_if_eq(&'|').is_some() {
            all.extend(self.row(depth)?);
            if all.len() > GLOBS_AT_MOST {
                return Err(too_many());
            }
        }
        Ok(all)
    }

    /// Atoms one after the other. Each can stand for several rows, so the result is their product.
    fn row(&mut self, depth: usize) -> Result<Vec<Row>, String> {
        let mut rows: Vec<Row> = vec![Row::new()];
        while let Some(&next) = self.rest.peek() {
            if next == '|' || next == ')' {
                break;
            }
            let atom = self.atom(depth)?;
            let atom = self.repeated(atom)?;
            if rows.len() * atom.len() > GLOBS_AT_MOST {
                return Err(too_many());
            }
            match atom.as_slice() {
                // The usual case in place, so that a long literal costs no copies.
                [tail] => rows.iter_mut().for_each(|row| row.extend_from_slice(tail)),
                _ => {
                    rows = rows
                        .iter()
                        .flat_map(|row| atom.iter().map(move |tail| [row.as_slice(), tail].concat()))
                        .collect()
                }
            }
            if rows.iter().any(|row| row.len() > KEY_CHARS_AT_MOST) {
                return Err("more characters than a key can have".to_owned());
            }
        }
        Ok(rows)
    }

    fn atom(&mut self, depth: usize) -> Result<Vec<Row>, String> {
        let one = |token| Ok(vec![vec![token]]);
        match self.rest.next() {
            Some('(') => self.group(depth),
            Some('[') => self.class(),
            Some('\\') => match self.rest.next() {
                Some('d') => one(Token::Class("[0-9]".to_owned())),
                Some('w') => one(Token::Class("[A-Za-z0-9_]".to_owned())),
                Some(c) if !c.is_ascii_alphanumeric() => one(Token::Char(c)),
                other => Err(format!("`\\{}`", other.map(String::from).unwrap_or_default())),
            },
            Some('.') => one(Token::Dot),
            Some(c @ ('^' | '$' | '*' | '+' | '?' | '{')) => Err(format!("`{c}` in this place")),
            Some(c) => one(Token::Char(c)),
            None => Ok(vec![Row::new()]),
        }
    }

    fn group(&mut self, depth: usize) -> Result<Vec<Row>, String> {
        if self.rest.next_if_eq(&'?').is_some() && self.rest.next_if_eq(&':').is_none() {
            return Err("a group that begins with `(?`".to_owned());
        }
        let rows = self.alternatives(depth + 1)?;
        match self.rest.next() {
            Some(')') => Ok(rows),
            _ => Err("a `(` without a `)`".to_owned()),
        }
    }

    /// A class of plain characters and ranges. `[^/]` is a wildcard inside a name.
    fn class(&mut self) -> Result<Vec<Row>, String> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                Some(']') if !text.is_empty() => break,
                Some('\\') => match self.rest.next() {
                    Some('d') => text.push_str("0-9"),
                    Some('w') => text.push_str("A-Za-z0-9_"),
                    Some(c @ ('.' | '_' | '/' | ' ')) => text.push(c),
                    other => return Err(format!("`\\{}` in a class", other.map(String::from).unwrap_or_default())),
                },
                Some(c @ ('[' | ']' | '&' | '!')) => return Err(format!("`{c}` in a class")),
                Some(c) => text.push(c),
                None => return Err("a `[` without a `]`".to_owned()),
            }
        }
        match text.as_str() {
            "^/" => Ok(vec![vec![Token::Class("?".to_owned())]]),
            _ if text.starts_with('^') => Err(format!("the class [{text}], which matches a slash")),
            _ if class_has_slash(&text) => Err(format!("the class [{text}], which has a slash")),
            _ => Ok(vec![vec![Token::Class(format!("[{text}]"))]]),
        }
    }

    /// What follows an atom: `?`, `*`, `+`, `{n}`, or nothing.
    fn repeated(&mut self, atom: Vec<Row>) -> Result<Vec<Row>, String> {
        let repeated = match self.rest.peek() {
            Some('?') => {
                let mut either = vec![Row::new()];
                either.extend(atom);
                either
            }
            Some(sign @ ('*' | '+')) => {
                let many = *sign == '*';
                let in_name = Token::Class("?".to_owned());
                let token = match atom.as_slice() {
                    [row] if *row == [Token::Dot] => {
                        if many {
                            Token::Any
                        } else {
                            Token::Some
                        }
                    }
                    [row] if *row == [in_name] => {
                        if many {
                            Token::AnyInName
                        } else {
                            Token::SomeInName
                        }
                    }
                    _ => return Err(format!("`{sign}` behind something other than `.` and `[^/]`")),
                };
                vec![vec![token]]
            }
            Some('{') => return self.counted(atom),
            _ => return Ok(atom),
        };
        self.rest.next();
        // `.*?` finds the same whole keys as `.*`; possessive ones do not.
        match self.rest.peek() {
            Some('?') if repeated.len() == 1 => drop(self.rest.next()),
            Some(sign @ ('?' | '*' | '+' | '{')) => return Err(format!("`{sign}` behind a repetition")),
            _ => {}
        }
        Ok(repeated)
    }

    /// `{n}` behind one character or class.
    fn counted(&mut self, atom: Vec<Row>) -> Result<Vec<Row>, String> {
        self.rest.next();
        let mut digits = String::new();
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let times = digits.parse::<usize>().ok().filter(|times| *times <= 64);
        match (times, self.rest.next(), atom.as_slice()) {
            (Some(times), Some('}'), [row]) => Ok(vec![vec![row.as_slice(); times].concat()]),
            _ => Err("`{…}` other than a count behind one character".to_owned()),
        }
    }
}

fn class_has_slash(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let range = chars.windows(3).any(|part| part[1] == '-' && part[0] <= '/' && '/' <= part[2]);
    range || chars.contains(&'/')
}

/// The globs of one row. Each `.*` multiplies them, since it can stay inside a name or reach over slashes.
fn row_globs(row: &[Token]) -> Result<Vec<String>, String> {
    let wild = |token: &Token| !matches!(token, Token::Char(_) | Token::Class(_) | Token::Dot);
    if row.windows(2).any(|pair| wild(&pair[0]) && wild(&pair[1])) {
        return Err("two wildcards in a row".to_owned());
    }
    let mut globs = vec![String::new()];
    for (index, token) in row.iter().enumerate() {
        let next = match row.get(index + 1) {
            None => Next::End,
            Some(Token::Char('/')) => Next::Slash,
            Some(_) => Next::Other,
        };
        let mut longer = Vec::with_capacity(globs.len());
        for mut glob in globs {
            let begins_name = glob.is_empty() || glob.ends_with('/');
            let mut pieces = pieces(token, begins_name, next);
            let last = pieces.pop().unwrap_or_default();
            longer.extend(pieces.iter().map(|piece| format!("{glob}{piece}")));
            glob.push_str(&last);
            longer.push(glob);
        }
        globs = longer;
        if globs.len() > GLOBS_AT_MOST {
            return Err(too_many());
        }
    }
    Ok(globs)
}

#[derive(Clone, Copy)]
enum Next {
    End,
    Slash,
    Other,
}

/// What a token becomes where a name begins or goes on, before what comes next.
fn pieces(token: &Token, begins_name: bool, next: Next) -> Vec<String> {
    let texts: &[&str] = match (token, begins_name, next) {
        (Token::Char(c), ..) => return vec![super::super::place::escaped(c.encode_utf8(&mut [0; 4]))],
        (Token::Class(class), ..) => return vec![class.clone()],
        (Token::Dot, ..) => &["?", "/"],
        (Token::AnyInName, ..) => &["*"],
        (Token::SomeInName, ..) => &["?*"],
        (Token::Any, true, Next::End | Next::Other) => &["**/*"],
        (Token::Any, _, Next::Slash) => &["*/**"],
        (Token::Any, false, Next::End | Next::Other) => &["*", "*/**/*"],
        (Token::Some, true, Next::End) => &["**/*"],
        (Token::Some, true, Next::Other) => &["**/?*", "*/**/"],
        (Token::Some, true, Next::Slash) => &["*/**"],
        (Token::Some, false, Next::End | Next::Other) => &["?*", "*/**/*"],
        (Token::Some, false, Next::Slash) => &["?*/**", "/*/**"],
    };
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::globs;

    #[test]
    fn what_people_write_becomes_globs() {
        let table: &[(&str, &[&str])] = &[
            (".*", &["**/*"]),
            (".+", &["**/*"]),
            (r".*\.csv", &["**/*.csv"]),
            (r"^.*\.csv$", &["**/*.csv"]),
            (r"orders_\d{4}\.csv", &["orders_[0-9][0-9][0-9][0-9].csv"]),
            (r"\d\d\d\d/.*", &["[0-9][0-9][0-9][0-9]/**/*"]),
            (r"orders.*\.csv", &["orders*.csv", "orders*/**/*.csv"]),
            (r"orders[^/]*\.csv", &["orders*.csv"]),
            (r"(a|b)/x\.jsonl(\.gz)?", &["a/x.jsonl", "a/x.jsonl.gz", "b/x.jsonl", "b/x.jsonl.gz"]),
            (r".*/new/.*\.parquet", &["*/**/new/**/*.parquet"]),
            (r"a\*\[\?", &[r"a\*\[\?"]),
            (r"[A-C_]\w", &["[A-C_][A-Za-z0-9_]"]),
        ];
        for (expression, expected) in table {
            assert_eq!(globs(expression).unwrap_or_default(), *expected, "{expression}: {:?}", globs(expression));
        }
    }

    #[test]
    fn what_globs_cannot_say_is_refused() {
        let table = [
            r"\d+\.csv",
            "a*",
            "(?i)a",
            "(?<table>a)",
            "[^a]",
            "[,-9]",
            "a{2,3}",
            "(a",
            "a)",
            "[a",
            r"a\b",
            "a++",
            "a^b",
            "*",
            "(ab)*",
            r"\",
            "........",
            ".*.*",
        ];
        for expression in table {
            assert!(globs(expression).is_err(), "{expression}: {:?}", globs(expression));
        }
    }

    /// Both sides by the simplest matcher there is, on all short keys of an alphabet.
    #[test]
    fn globs_match_the_keys_that_the_expression_matches() {
        let mut keys = vec![String::new()];
        for length in 0..6 {
            let longer: Vec<String> = keys
                .iter()
                .filter(|key| key.len() == length)
                .flat_map(|key| ['a', 'x', '/'].map(|c| format!("{key}{c}")))
                .collect();
            keys.extend(longer);
        }
        // Empty names are outside the comparison: globs count several slashes as one.
        let usual =
            |key: &&String| !key.is_empty() && !key.starts_with('/') && !key.ends_with('/') && !key.contains("//");
        let keys: Vec<&String> = keys.iter().filter(usual).collect();
        for expression in [
            ".*", ".+", ".*a", ".+a", "a.*", "a.+", "a.*x", "a.+x", ".*/a", ".+/a", "a.*/x", "a.+/x", "a.x", "a/.*",
            ".*a.*",
        ] {
            let globs = globs(expression).expect("globs");
            for key in &keys {
                let expected = expression_matches(expression.as_bytes(), key.as_bytes());
                let got = globs.iter().any(|glob| glob_matches(glob, key));
                assert_eq!(got, expected, "{expression} {globs:?} {key}");
            }
        }
    }

    /// Literals, `.`, `.*` and `.+` alone.
    fn expression_matches(expression: &[u8], key: &[u8]) -> bool {
        match expression {
            [] => key.is_empty(),
            [b'.', b'*', rest @ ..] => (0..=key.len()).any(|skip| expression_matches(rest, &key[skip..])),
            [b'.', b'+', rest @ ..] => (1..=key.len()).any(|skip| expression_matches(rest, &key[skip..])),
            [c, rest @ ..] => key.first().is_some_and(|k| *c == b'.' || c == k) && expression_matches(rest, &key[1..]),
        }
    }

    fn glob_matches(glob: &str, key: &str) -> bool {
        let names = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        segments_match(&names(glob), &names(key))
    }

    fn segments_match(globs: &[String], names: &[String]) -> bool {
        match globs {
            [] => names.is_empty(),
            [first, rest @ ..] if first == "**" => (0..=names.len()).any(|skip| segments_match(rest, &names[skip..])),
            [first, rest @ ..] => {
                names.first().is_some_and(|name| name_matches(first.as_bytes(), name.as_bytes()))
                    && segments_match(rest, &names[1..])
            }
        }
    }

    fn name_matches(glob: &[u8], name: &[u8]) -> bool {
        match glob {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len()).any(|skip| name_matches(rest, &name[skip..])),
            [b'?', rest @ ..] => !name.is_empty() && name_matches(rest, &name[1..]),
            [c, rest @ ..] => name.first() == Some(c) && name_matches(rest, &name[1..]),
        }
    }
}
