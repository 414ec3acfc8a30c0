//! Avro containers → JSON rows.
//!
//! ```text
//!   header (schema, codec, marker) ─▶ for each block: rows, bytes, marker ─ decompress ─▶ row by row: JSON texts
//! ```
//!
//! Rows are JSON and not columns: a union has no column of one type, a type that holds itself has none at all, and the
//! text that a value gets is the same wherever it stands. That is also why the values are decoded here: `arrow-avro`
//! makes columns, and `apache-avro` a tree of values for each row out of a reader that cannot be handed bytes.
//!
//! A position is the first byte of a block and the rows of it that are done. Going on there takes two requests: one for
//! the header, which has the schema and the marker between blocks, and one from the marker before the block to the end
//! of the object. The marker proves that a block begins there. Where the whole object is compressed, blocks cannot be
//! found in it: the position counts rows, and the object is read from its start.
//!
//! Where bad rows are gone over, a row is one that cannot be written although all bytes of its block are where they should
//! be: the rows of the block end where it does. Otherwise nothing says where the next row begins, and the rest of the block
//! is lost. Behind a block that does not end with the marker, the next marker is looked for.

mod codec;
mod decoder;
mod loss;
mod lost;
mod schema;
mod text;
mod value;
mod walk;

pub(super) use self::decoder::{AvroDecoder, MARKER_BYTES};
