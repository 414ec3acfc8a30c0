//! Regular expressions on keys.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::literal::Extractor;

/// Bytes of a compiled expression at most.
const COMPILED_BYTES: usize = 1 << 20;

/// The maximum number of prefixes that are listed for one expression. If there are more, their common prefix is listed.
const PREFIXES: usize = 16;

/// A regular expression that must match a whole key, after a folder. It takes linear time, so a key cannot make it slow.
#[derive(Debug, Clone)]
pub struct KeyPattern {
    folder: String,
    text: String,
    regex: Regex,
    prefixes: Vec<String>,
}

impl KeyPattern {
    /// An expression for the keys below `folder`, which is a literal text.
    ///
    /// # Errors
    /// A description of what is wrong with the expression.
    pub fn new(folder: &str, text: &str) -> Result<Self, String> {
        // By itself first: the error must speak of what the user wrote, and no `)` of theirs may close the group below.
        let hir = regex_syntax::parse(text).map_err(|error| reason(&error))?;
        let regex = RegexBuilder::new(&format!(r"\A(?:{text})\z")).size_limit(COMPILED_BYTES).build();
        let regex = regex.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })?;
        let mut extractor = Extractor::new();
        // Each class would multiply the prefixes: `[0-9]` is ten of them.
        extractor.limit_class(1).limit_total(PREFIXES);
        let mut prefixes: Vec<String> = match extractor.extract(&hir).literals() {
            Some(literals) if !literals.is_empty() => {
                literals.iter().map(|literal| format!("{folder}{}", whole_characters(literal.as_bytes()))).collect()
            }
            _ => vec![folder.to_owned()],
        };
        prefixes.sort_unstable();
        prefixes.dedup();
        Ok(Self { folder: folder.to_owned(), text: text.to_owned(), regex, prefixes })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a key belongs to it.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        key.strip_prefix(self.folder.as_str()).is_some_and(|rest| self.regex.is_match(rest))
    }

    /// Every matching key begins with one of these. There is at least one, and it may be empty.
    #[must_use]
    pub fn prefixes(&self) -> &[String] {
        &self.prefixes
    }
}

impl PartialEq for KeyPattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.folder, &self.text) == (&other.folder, &other.text)
    }
}

impl Eq for KeyPattern {}

/// The fact alone, without the picture of where it is.
fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
    }
}

/// A literal may be cut inside a character.
fn whole_characters(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(folder: &str, text: &str) -> KeyPattern {
        KeyPattern::new(folder, text).unwrap_or_else(|reason| panic!("{text}: {reason}"))
    }

    #[test]
    fn an_expression_matches_the_whole_key_after_the_folder() {
        let table = [
            (r".*\.csv", "raw/a/b.csv", true),
            (r".*\.csv", "raw/.hidden/.b.csv", true),
            (r".*\.csv", "raw/a.csv.gz", false),
            (r".*\.csv", "other/a.csv", false),
            (r"\d+\.csv", "raw/20240115.csv", true),
            (r"\d+\.csv", "raw/x1.csv", false),
            (r"[0-9]+_\w+\.csv", "raw/1_orders.csv", true),
            (r"\d{1,4}", "raw/12345", false),
            (r"(?i)orders\.CSV", "raw/Orders.csv", true),
            (r".*\border\b.*", "raw/my order.csv", true),
            (r".*\border\b.*", "raw/orders.csv", false),
            (r"^a\.csv$|^b\.csv$", "raw/b.csv", true),
            (r"[^a]+", "raw/x/y", true),
            (r"(?<table>[a-z]+)/.*", "raw/orders/1", true),
            (r"a|b", "raw/ab", false),
            ("(?x) a # a comment\n b", "raw/ab", true),
        ];
        for (text, key, expected) in table {
            assert_eq!(pattern("raw/", text).matches(key), expected, "{text} on {key}");
        }
    }

    #[test]
    fn the_literal_heads_of_an_expression_are_listed() {
        let table: [(&str, &[&str]); 9] = [
            (r"orders/\d+\.csv", &["raw/orders/"]),
            (r"^orders_[0-9]+", &["raw/orders_"]),
            (r"(orders|users)/.*", &["raw/orders/", "raw/users/"]),
            (r"(?i)orders/.*", &["raw/"]),
            (r".*\.csv", &["raw/"]),
            (r"a?b", &["raw/ab", "raw/b"]),
            (r"\bx/.*", &["raw/x/"]),
            ("é[ab]", &["raw/é"]),
            ("", &["raw/"]),
        ];
        for (text, expected) in table {
            assert_eq!(pattern("raw/", text).prefixes(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_says_why() {
        for text in ["(a", "a)", "a)(b", "[a", "*", r"(?=a)", r"\1", r"a\", r"(?x)a#", "(((a{999}){999}){999})"] {
            let wrong = KeyPattern::new("", text);
            assert!(
                wrong.as_ref().is_err_and(|reason| !reason.is_empty() && !reason.contains('\n')),
                "{text}: {wrong:?}"
            );
        }
    }

    #[test]
    fn a_matching_key_begins_with_a_listed_prefix() {
        let mut seed = 7u64;
        let mut random = move |n: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % n as u64) as usize
        };
        let parts = ["a", "b", "ab", ".", ".*", "[ab]", "(a|b)", "a?", "b+", "/", "|", "^", r"\b", "é"];
        let letters = ["a", "b", "/", "é", "ab"];
        let mut matched = 0;
        for _ in 0..20_000 {
            let text: String = (0..random(5) + 1).map(|_| parts[random(parts.len())]).collect();
            let Ok(pattern) = KeyPattern::new("f/", &text) else { continue };
            for _ in 0..5 {
                let key: String = (0..random(5)).map(|_| letters[random(letters.len())]).collect();
                let key = format!("f/{key}");
                if pattern.matches(&key) {
                    matched += 1;
                    assert!(pattern.prefixes().iter().any(|prefix| key.starts_with(prefix)), "{text} on {key}");
                }
            }
        }
        assert!(matched > 1000, "{matched}");
    }
}
