//! An S3-compatible server for tests, the demo and benchmarks.
