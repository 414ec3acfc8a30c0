//! Avro's binary values → JSON texts, straight.

use super::schema::{Node, Schema};
use super::text::{
    DECIMAL_BYTES, write_date, write_decimal, write_duration, write_python_double, write_time, write_timestamp,
    write_uuid,
};
use tollgate_base::batch::JsonKind;
use tollgate_base::bytes_text::{write_base64, write_hex};
use tollgate_base::json_string::write_string;
use tollgate_base::options::BinaryEncoding;

/// Values inside one another, the record itself included. A type may hold itself, so its depth is the file's choice.
const MAX_DEPTH: usize = 400;

/// Why bytes are not a value, for the message of an error.
pub(super) type Fault = &'static str;

pub(super) const TOO_LONG: Fault = "the row is longer than the limit allows";

/// Bytes of a block, taken from the front.
pub(super) struct Input<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at }
    }

    /// Bytes taken so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let rest = self.data.get(self.at..).and_then(|rest| rest.get(..count));
        let taken = rest.ok_or("the data ends inside a value")?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A number of variable length, with its sign in the lowest bit.
    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
            // The tenth byte has one bit left to give.
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err("a number is longer than 64 bits")
    }

    fn int(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.long()?).map_err(|_| "an int is longer than 32 bits")
    }

    /// A length and as many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| "a length is negative")?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        simdutf8::basic::from_utf8(self.bytes()?).map_err(|_| "a string is not UTF-8 text")
    }

    /// The number of items in the next block of an array or map; 0 behind the last. Where the number is negative, the
    /// length of the block in bytes follows, which only a reader that skips needs.
    pub(super) fn items(&mut self) -> Result<u64, Fault> {
        let count = self.long()?;
        if count < 0 {
            self.long()?;
        }
        Ok(count.unsigned_abs())
    }
}

/// Writes values as JSON.
pub(super) struct Writer<'a> {
    pub(super) schema: &'a Schema,
    /// Doubles at the top of a record as strings.
    pub(super) double_as_string: bool,
    pub(super) binary_encoding: BinaryEncoding,
    /// `out` may not grow far beyond this length.
    pub(super) most: usize,
}

impl Writer<'_> {
    /// Writes a value that is a member of the top record.
    pub(super) fn top(&self, node: usize, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<JsonKind, Fault> {
        self.value(node, input, out, 1)
    }

    fn value(&self, node: usize, input: &mut Input<'_>, out: &mut Vec<u8>, depth: usize) -> Result<JsonKind, Fault> {
        if out.len() > self.most {
            return Err(TOO_LONG);
        }
        match self.schema.node(node) {
            Node::Null => {
                out.extend_from_slice(b"null");
                Ok(JsonKind::Null)
            }
            Node::Boolean => boolean(input.array()?, out),
            Node::Int => Ok(integer(input.int()?.into(), out)),
            Node::Long => Ok(integer(input.long()?, out)),
            Node::Float => Ok(number(f32::from_le_bytes(input.array()?).into(), out)),
            Node::Double if self.double_as_string && depth == 1 => {
                let value = f64::from_le_bytes(input.array()?);
                Ok(quoted(out, |out| write_python_double(value, out)))
            }
            Node::Double => Ok(number(f64::from_le_bytes(input.array()?), out)),
            Node::String => Ok(string(self.short(input.text()?)?, out)),
            Node::Bytes => self.binary(input.bytes()?, out),
            Node::Fixed(size) => self.binary(input.take(*size)?, out),
            Node::Enum(symbols) => {
                let symbol = usize::try_from(input.int()?).ok().and_then(|index| symbols.get(index));
                out.extend_from_slice(symbol.ok_or("an enum has no symbol with that index")?);
                Ok(JsonKind::String)
            }
            Node::Union(branches) => {
                let branch = usize::try_from(input.long()?).ok().and_then(|index| branches.get(index));
                // A branch is in the place of its union.
                self.value(*branch.ok_or("a union has no branch with that index")?, input, out, depth)
            }
            Node::Array(items) => self.array(*items, input, out, deeper(depth)?),
            Node::Map(values) => self.map(*values, input, out, deeper(depth)?),
            Node::Record(_) => self.record(node, input, out, deeper(depth)?),
            logical => text(logical, input, out, depth > 1),
        }
    }

    /// A text that is not longer than a row may be.
    fn short<'t>(&self, text: &'t str) -> Result<&'t str, Fault> {
        if text.len() > self.most { Err(TOO_LONG) } else { Ok(text) }
    }

    /// Binary values are texts in records; by default they are taken for text, as in the connector that we replace.
    fn binary(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<JsonKind, Fault> {
        if bytes.len() > self.most {
            return Err(TOO_LONG);
        }
        match self.binary_encoding {
            BinaryEncoding::Utf8 => return Ok(string(text_of(bytes)?, out)),
            BinaryEncoding::Base64 => write_base64(bytes, out),
            BinaryEncoding::Hex => write_hex(bytes, false, out),
        }
        Ok(JsonKind::String)
    }

    fn array(&self, items: usize, input: &mut Input<'_>, out: &mut Vec<u8>, depth: usize) -> Result<JsonKind, Fault> {
        let start = out.len();
        out.push(b'[');
        loop {
            let count = input.items()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                self.value(items, input, out, depth)?;
                out.push(b',');
            }
        }
        Ok(close(start, b']', out, JsonKind::Array))
    }

    fn map(&self, values: usize, input: &mut Input<'_>, out: &mut Vec<u8>, depth: usize) -> Result<JsonKind, Fault> {
        let start = out.len();
        out.push(b'{');
        loop {
            let count = input.items()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                write_string(input.text()?, out);
                out.push(b':');
                self.value(values, input, out, depth)?;
                out.push(b',');
            }
        }
        Ok(close(start, b'}', out, JsonKind::Object))
    }

    fn record(&self, node: usize, input: &mut Input<'_>, out: &mut Vec<u8>, depth: usize) -> Result<JsonKind, Fault> {
        let Node::Record(fields) = self.schema.node(node) else { return Err("a type is not a record") };
        let start = out.len();
        out.push(b'{');
        for field in fields {
            out.extend_from_slice(&field.key);
            self.value(field.node, input, out, depth)?;
            out.push(b',');
        }
        Ok(close(start, b'}', out, JsonKind::Object))
    }
}

pub(super) fn deeper(depth: usize) -> Result<usize, Fault> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err("values are nested too deeply") }
}

/// Ends a container that began at `start`, in place of the comma behind its last item.
fn close(start: usize, bracket: u8, out: &mut Vec<u8>, kind: JsonKind) -> JsonKind {
    if out.len() > start + 1 {
        out.pop();
    }
    out.push(bracket);
    kind
}

/// A value that has a text of its own.
fn text(node: &Node, input: &mut Input<'_>, out: &mut Vec<u8>, nested: bool) -> Result<JsonKind, Fault> {
    match node {
        Node::Decimal(scale, size) => {
            let bytes = match size {
                Some(size) => input.take(*size)?,
                None => input.bytes()?,
            };
            decimal(bytes, i64::from(*scale), out)
        }
        Node::BigDecimal => {
            let mut inside = Input::new(input.bytes()?, 0);
            let bytes = inside.bytes()?;
            decimal(bytes, inside.int()?.into(), out)
        }
        Node::Date => {
            let days = input.int()?.into();
            Ok(quoted(out, |out| write_date(days, out)))
        }
        Node::Time(unit) => {
            let value = input.long()?;
            out.push(b'"');
            write_time(value, *unit, out).ok_or("a time of day is out of range")?;
            out.push(b'"');
            Ok(JsonKind::String)
        }
        Node::Timestamp(unit, instant) => {
            let value = input.long()?;
            Ok(quoted(out, |out| write_timestamp(value, *unit, *instant, nested, out)))
        }
        Node::Duration => {
            let bytes = input.array()?;
            Ok(quoted(out, |out| write_duration(&bytes, out)))
        }
        Node::Uuid => {
            let bytes = input.array()?;
            Ok(quoted(out, |out| write_uuid(&bytes, out)))
        }
        _ => Err("a type has no text"),
    }
}

fn decimal(bytes: &[u8], scale: i64, out: &mut Vec<u8>) -> Result<JsonKind, Fault> {
    if bytes.len() > DECIMAL_BYTES {
        return Err("a decimal has more than 1024 bytes");
    }
    Ok(quoted(out, |out| write_decimal(bytes, scale, out)))
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> JsonKind {
    out.push(b'"');
    write(out);
    out.push(b'"');
    JsonKind::String
}

fn boolean([byte]: [u8; 1], out: &mut Vec<u8>) -> Result<JsonKind, Fault> {
    out.extend_from_slice(match byte {
        0 => b"false",
        1 => b"true",
        _ => return Err("a boolean is neither 0 nor 1"),
    });
    Ok(JsonKind::Boolean)
}

fn integer(value: i64, out: &mut Vec<u8>) -> JsonKind {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    JsonKind::Integer
}

/// NaN and the infinities, which JSON does not have, are a `null` that stays: unlike a value that is not there, it is
/// written at the top of a record too.
fn number(value: f64, out: &mut Vec<u8>) -> JsonKind {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
    JsonKind::Number
}

fn string(text: &str, out: &mut Vec<u8>) -> JsonKind {
    write_string(text, out);
    JsonKind::String
}

fn text_of(bytes: &[u8]) -> Result<&str, Fault> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| "a binary value is not UTF-8 text")
}
