//! Which prefixes are listed.

use super::pattern::Pattern;

/// The prefixes to list for a stream, in byte order and none inside another, so that listing them one after the
/// other yields every key once and in order.
#[must_use]
pub fn prefixes(patterns: &[Pattern], only_prefix: Option<&str>) -> Vec<String> {
    let wanted = match only_prefix {
        Some(prefix) => narrowed(patterns, prefix),
        None => patterns.iter().filter(|p| !p.text().is_empty()).map(Pattern::literal_prefix).collect(),
    };
    without_covered(wanted)
}

/// Both the given prefix and a pattern's must hold: the longer of the two where one begins with the other, and
/// nothing where they part.
fn narrowed(patterns: &[Pattern], only_prefix: &str) -> Vec<String> {
    let mut prefixes = Vec::new();
    for pattern in patterns.iter().filter(|p| !p.text().is_empty()) {
        let own = pattern.literal_prefix();
        if own.starts_with(only_prefix) {
            prefixes.push(own);
        } else if only_prefix.starts_with(&own) {
            prefixes.push(only_prefix.to_owned());
        }
    }
    prefixes
}

fn without_covered(mut prefixes: Vec<String>) -> Vec<String> {
    prefixes.sort_unstable();
    let mut kept: Vec<String> = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        let covered = kept.last().is_some_and(|shorter| prefix.starts_with(shorter.as_str()));
        if !covered {
            kept.push(prefix);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(globs: &[&str], only: Option<&str>) -> Vec<String> {
        let patterns: Vec<Pattern> = globs.iter().map(|glob| Pattern::new(glob)).collect();
        prefixes(&patterns, only)
    }

    #[test]
    fn prefixes_are_as_narrow_as_the_patterns_and_disjoint() {
        assert_eq!(listed(&["b/*.csv", "a/*.csv"], None), ["a/", "b/"]);
        assert_eq!(listed(&["data/sub/*.csv", "data/*.csv"], None), ["data/"]);
        assert_eq!(listed(&["data/sub/*.csv", "*.csv"], None), [""]);
        assert_eq!(listed(&["**"], Some("data/")), ["data/"]);
        assert_eq!(listed(&["data/2024/*"], Some("data/")), ["data/2024/"]);
        assert_eq!(listed(&["other/*"], Some("data/")), Vec::<String>::new());
        assert_eq!(listed(&[""], None), Vec::<String>::new());
        assert_eq!(listed(&["a*", "a/b*", "ab*"], None), ["a"]);
    }
}
