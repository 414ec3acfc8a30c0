//! What is fuzzed: a function per decoder and per document that strangers write. Each must come back without a panic,
//! soon, and with bounded memory; and what it hands over must hold what its room promises.

mod decoders;
mod documents;

/// A function that takes any bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The target's name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics where a promise is broken.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "csv", run: decoders::csv },
    Target { name: "csv_options", run: decoders::csv_options },
    Target { name: "jsonl", run: decoders::jsonl },
    Target { name: "json", run: decoders::json },
    Target { name: "avro", run: decoders::avro },
    Target { name: "excel", run: decoders::excel },
    Target { name: "gzip", run: decoders::gzip },
    Target { name: "bzip2", run: decoders::bzip2 },
    Target { name: "zstd", run: decoders::zstd },
    Target { name: "xz", run: decoders::xz },
    Target { name: "lz4", run: decoders::lz4 },
    Target { name: "snappy", run: decoders::snappy },
    Target { name: "brotli", run: decoders::brotli },
    Target { name: "zip", run: decoders::zip },
    Target { name: "zip_member", run: decoders::zip_member },
    Target { name: "told_by_first_bytes", run: decoders::told_by_first_bytes },
    Target { name: "utf_16", run: decoders::utf_16 },
    Target { name: "shift_jis", run: decoders::shift_jis },
    Target { name: "parquet", run: decoders::parquet },
    Target { name: "config", run: documents::config },
    Target { name: "state", run: documents::state },
    Target { name: "catalog", run: documents::catalog },
    Target { name: "glob", run: documents::glob },
];
