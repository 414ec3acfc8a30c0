//! Which prefixes are listed.

use super::pattern::Pattern;

/// The prefixes to list for a stream, in byte order and without overlaps, so that listing them in sequence returns
/// every key once and in order.
#[must_use]
pub fn prefixes(patterns: &[Pattern], only_prefix: Option<&str>) -> Vec<String> {
    let wanted = match only_prefix {
        Some(prefix) => narrowed(patterns, prefix),
        None => patterns.iter().flat_map(Pattern::literal_prefixes).collect(),
    };
    without_covered(wanted)
}

/// Both the given prefix and a pattern's must hold: the longer of the two where one begins with the other, and
/// nothing where they part.
fn narrowed(patterns: &[Pattern], only_prefix: &str) -> Vec<String> {
    let mut prefixes = Vec::new();
    for own in patterns.iter().flat_map(Pattern::literal_prefixes) {
        if own.starts_with(only_prefix) {
            prefixes.push(own);
        } else if only_prefix.starts_with(&own) {
            prefixes.push(only_prefix.to_owned());
        }
    }
    prefixes
}

/// The folders that contain the prefixes, for servers that can list only whole folders.
#[must_use]
pub fn whole_folders(prefixes: Vec<String>) -> Vec<String> {
    let folder = |mut prefix: String| {
        prefix.truncate(prefix.rfind('/').map_or(0, |slash| slash + 1));
        prefix
    };
    without_covered(prefixes.into_iter().map(folder).collect())
}

/// The folder that contains all prefixes: empty, or with a slash at its end.
#[must_use]
pub fn common_folder(prefixes: &[String]) -> String {
    let Some((first, others)) = prefixes.split_first() else { return String::new() };
    let shared = others.iter().fold(first.len(), |shared, other| {
        first.bytes().zip(other.bytes()).take(shared).take_while(|(one, two)| one == two).count()
    });
    // A slash is a byte of its own, so the text is cut between characters.
    let end = first.as_bytes()[..shared].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    first[..end].to_owned()
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

    #[test]
    fn prefixes_are_widened_to_folders_that_do_not_overlap() {
        let widened = |globs: &[&str]| whole_folders(listed(globs, None));
        assert_eq!(widened(&["a/x*.csv", "a/y*.csv", "b/c/*"]), ["a/", "b/c/"]);
        assert_eq!(widened(&["a/b/x*", "a/y*"]), ["a/"]);
        assert_eq!(widened(&["x*", "a/y*"]), [""]);
    }

    #[test]
    fn prefixes_have_a_folder_in_common() {
        let folder = |prefixes: &[&str]| common_folder(&prefixes.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>());
        assert_eq!(folder(&["a/b/x", "a/b/y/", "a/b/"]), "a/b/");
        assert_eq!(folder(&["a/b", "c/"]), "");
        assert_eq!(folder(&["data/ev"]), "data/");
        assert_eq!(folder(&[]), "");
    }
}
