//! Requests and bytes by bill row, as they happen.

use crate::object::StorageClass;

/// The S3 operation of a request, as far as a bill tells them apart.
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
}

/// One line of the ledger: what was asked for, and of which class of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// The operation.
    pub operation: Operation,
    /// The object's class; `Standard` for requests that are not about one object.
    pub storage_class: StorageClass,
}
