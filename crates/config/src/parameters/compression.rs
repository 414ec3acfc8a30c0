//! The compression around files.

use crate::provenance::ProvenanceLog;
use tollgate_base::options::{Compression, FormatOptions};

/// The compression of a stream's files, from the written value. Parquet and Avro files specify the codec of their
/// blocks themselves. People also write that codec here, although it does not compress the whole file.
pub(crate) fn around(format: &FormatOptions, written: Compression, path: &str, log: &mut ProvenanceLog) -> Compression {
    use Compression::{Bzip2, Gzip, Snappy, Xz, Zip, Zstd};
    match format {
        FormatOptions::Parquet(_) if written != Compression::Auto && written != Zip => {
            if written != Compression::None {
                log.unused(path, "without effect: a Parquet file specifies the codec of its columns itself");
            }
            Compression::None
        }
        FormatOptions::Avro(_) if matches!(written, Gzip | Bzip2 | Zstd | Xz | Snappy) => {
            let note = "an Avro file specifies the codec of its blocks itself; compression of the whole file is \
                        detected";
            log.remark(path, note);
            Compression::Auto
        }
        _ => written,
    }
}
