//! Detects the region of a bucket if it is not configured.
//!
//! The first request goes to the configured region, the region of an access point's ARN, the environment's region or
//! us-east-1. If it is the wrong region, the error of the server names the right one. The client then switches once and
//! stays there.

/// The region of the first request.
pub(super) fn first(configured: Option<&str>, bucket: &str, environment: Option<&str>) -> String {
    let given = [configured, of_arn(bucket), environment].into_iter().flatten().find(|region| !region.is_empty());
    given.unwrap_or("us-east-1").to_owned()
}

/// The region of `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`.
fn of_arn(bucket: &str) -> Option<&str> {
    bucket.strip_prefix("arn:")?.split(':').nth(2)
}

/// Whether this can be a region's name, so that a server cannot put anything else into our requests' host names.
pub(super) fn plausible(region: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=40).contains(&region.len()) && region.bytes().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_region_is_the_nearest_told() {
        let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/logs";
        for (configured, bucket, environment, expected) in [
            (None, "b", None, "us-east-1"),
            (Some(""), "b", Some(""), "us-east-1"),
            (None, "b", Some("eu-west-3"), "eu-west-3"),
            (None, arn, Some("eu-west-3"), "eu-west-1"),
            (None, "arn:aws:s3::123456789012:accesspoint/x.mrap", None, "us-east-1"),
            (Some("sa-east-1"), arn, Some("eu-west-3"), "sa-east-1"),
        ] {
            assert_eq!(first(configured, bucket, environment), expected);
        }
    }

    #[test]
    fn a_host_name_is_not_a_region() {
        assert!(plausible("eu-central-1") && plausible("garage"));
        assert!(!plausible("evil.example.com/") && !plausible("") && !plausible("x@y"));
    }
}
