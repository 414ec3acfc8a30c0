//! The one door to S3: every request of the program is signed, retried, metered and limited here, and the SDK is
//! hidden from all other rooms.
