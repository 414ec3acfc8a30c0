//! Requests and bytes by usage row, as they are recorded.

use tollgate_base::object::StorageClass;

/// The S3 operation of a request, as far as a bill distinguishes operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// ListObjectsV2: tier 1, always at the price of `STANDARD`.
    ListObjects,
    /// GetObject: tier 2 at the price of the object's class.
    GetObject,
    /// HeadObject: tier 2 at the price of the object's class.
    HeadObject,
    /// HeadBucket and GetBucketLocation: tier 2.
    HeadBucket,
    /// PutObject: tier 1, at the price of `STANDARD`, the class of written objects.
    PutObject,
}

impl Operation {
    /// All operations, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::ListObjects, Self::GetObject, Self::HeadObject, Self::HeadBucket, Self::PutObject];

    /// The API's name of the operation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ListObjects => "ListObjectsV2",
            Self::GetObject => "GetObject",
            Self::HeadObject => "HeadObject",
            Self::HeadBucket => "HeadBucket",
            Self::PutObject => "PutObject",
        }
    }
}

/// One row of the ledger: the operation and the storage class of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// The operation.
    pub operation: Operation,
    /// The object's class; `Standard` for requests that are not about one object.
    pub storage_class: StorageClass,
}

impl Row {
    /// The usage row of listings.
    pub const LIST: Self = Self { operation: Operation::ListObjects, storage_class: StorageClass::Standard };

    /// The usage row of writing objects.
    pub const PUT: Self = Self { operation: Operation::PutObject, storage_class: StorageClass::Standard };

    /// The usage row of reading objects of this class.
    #[must_use]
    pub fn get(storage_class: StorageClass) -> Self {
        Self { operation: Operation::GetObject, storage_class }
    }

    /// The usage row of HEAD requests for objects of this class.
    #[must_use]
    pub fn head(storage_class: StorageClass) -> Self {
        Self { operation: Operation::HeadObject, storage_class }
    }

    /// The usage type under which a bill counts these requests, without the region's prefix (`EUC1-` and the like;
    /// us-east-1 has none). Archived classes can only be read through a restored copy, which is billed as `STANDARD`.
    #[must_use]
    pub fn request_usage_type(self) -> &'static str {
        match (self.operation, self.storage_class) {
            (Operation::ListObjects | Operation::PutObject, _) => "Requests-Tier1",
            (_, StorageClass::StandardIa) => "Requests-SIA-Tier2",
            (_, StorageClass::OnezoneIa) => "Requests-ZIA-Tier2",
            (_, StorageClass::GlacierIr) => "Requests-GIR-Tier2",
            (_, StorageClass::IntelligentTiering) => "Requests-INT-Tier2",
            (_, StorageClass::ExpressOnezone) => "Requests-XZ-Tier2",
            _ => "Requests-Tier2",
        }
    }

    /// The usage type of bytes read from this class, if reading them has a separate fee. It has no prefix of the
    /// region.
    #[must_use]
    pub fn retrieval_usage_type(self) -> Option<&'static str> {
        match (self.operation, self.storage_class) {
            (Operation::GetObject, StorageClass::StandardIa) => Some("Retrieval-SIA"),
            (Operation::GetObject, StorageClass::OnezoneIa) => Some("Retrieval-ZIA"),
            (Operation::GetObject, StorageClass::GlacierIr) => Some("Retrieval-SIA-GIR"),
            (Operation::GetObject, StorageClass::ExpressOnezone) => Some("Retrieval-XZ"),
            _ => None,
        }
    }
}

/// How one HTTP attempt ended, for the bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Whether it was a retry.
    pub retry: bool,
    /// Whether S3 charges for it.
    pub billed: bool,
}

impl Attempt {
    /// An attempt with a response. `code` is S3's error code, if the response has one.
    #[must_use]
    pub fn answered(retry: bool, status: u16, code: Option<&str>) -> Self {
        Self { retry, billed: billed(status, code) }
    }

    /// An attempt without a response: no connection, a reset, a timeout. S3 charges for responses, so this counts as
    /// free.
    #[must_use]
    pub fn unanswered(retry: bool) -> Self {
        Self { retry, billed: false }
    }
}

/// Whether S3 charges for a response ("Billing for Amazon S3 error responses" in the S3 user guide).
///
/// Server errors, redirects, and refusals of a caller that S3 could not identify are free. A 403 to an identified
/// caller is free only outside the owner's account or organisation, which a client cannot know. It counts as billed, so
/// that a limit is never missed. A 403 without a code also counts as billed (HEAD has no body).
#[must_use]
pub fn billed(status: u16, code: Option<&str>) -> bool {
    match status {
        304 => true,
        300..=399 | 500..=599 => false,
        400 => !matches!(
            code,
            None | Some(
                "AuthorizationHeaderMalformed"
                    | "AuthorizationQueryParametersError"
                    | "BadRequest"
                    | "ExpiredToken"
                    | "InvalidToken"
                    | "RequestTimeout"
                    | "TokenRefreshRequired"
            )
        ),
        401 => false,
        403 => !matches!(
            code,
            Some(
                "ExpiredToken"
                    | "InvalidAccessKeyId"
                    | "InvalidSecurity"
                    | "InvalidToken"
                    | "NotSignedUp"
                    | "RequestExpired"
                    | "RequestTimeTooSkewed"
                    | "SignatureDoesNotMatch"
            )
        ),
        _ => true,
    }
}

/// The totals of a row of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// HTTP attempts, retries included.
    pub requests: u64,
    /// Attempts that S3 charges for.
    pub billed_requests: u64,
    /// Attempts that repeated an earlier one of the same operation.
    pub retries: u64,
    /// Bytes of bodies that arrived, those of error answers included.
    pub bytes_received: u64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.billed_requests += other.billed_requests;
        self.retries += other.retries;
        self.bytes_received += other.bytes_received;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_billed_as_s3_says() {
        for (status, code, expected) in [
            (200, None, true),
            (206, None, true),
            (301, Some("PermanentRedirect"), false),
            (304, None, true),
            (307, Some("TemporaryRedirect"), false),
            (400, Some("AuthorizationHeaderMalformed"), false),
            (400, Some("ExpiredToken"), false),
            (400, Some("InvalidArgument"), true),
            (400, None, false),
            (403, Some("AccessDenied"), true),
            (403, Some("InvalidAccessKeyId"), false),
            (403, Some("InvalidObjectState"), true),
            (403, Some("SignatureDoesNotMatch"), false),
            (403, None, true),
            (404, Some("NoSuchKey"), true),
            (412, Some("PreconditionFailed"), true),
            (416, Some("InvalidRange"), true),
            (500, Some("InternalError"), false),
            (503, Some("SlowDown"), false),
        ] {
            assert_eq!(billed(status, code), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn usage_types_are_those_of_a_bill() {
        for (row, requests, retrieval) in [
            (Row::LIST, "Requests-Tier1", None),
            (Row::PUT, "Requests-Tier1", None),
            (Row::get(StorageClass::Standard), "Requests-Tier2", None),
            (Row::get(StorageClass::StandardIa), "Requests-SIA-Tier2", Some("Retrieval-SIA")),
            (Row::head(StorageClass::StandardIa), "Requests-SIA-Tier2", None),
            (Row::get(StorageClass::OnezoneIa), "Requests-ZIA-Tier2", Some("Retrieval-ZIA")),
            (Row::get(StorageClass::GlacierIr), "Requests-GIR-Tier2", Some("Retrieval-SIA-GIR")),
            (Row::get(StorageClass::IntelligentTiering), "Requests-INT-Tier2", None),
            (Row::get(StorageClass::DeepArchive), "Requests-Tier2", None),
            (Row::get(StorageClass::Other), "Requests-Tier2", None),
        ] {
            assert_eq!((row.request_usage_type(), row.retrieval_usage_type()), (requests, retrieval), "{row:?}");
        }
    }
}
