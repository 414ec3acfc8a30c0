//! Whether the parts of a workbook ask for more memory than they may: found by going through them once, before the library
//! reads them, which believes what they say.

use super::limits::{MOST_CELL_BYTES, MOST_TEXT_BYTES, TEXT_BYTES, damaged, too_large};
use tollgate_base::error::Result;

/// Bytes of a record of xlsb at most. The longest text of a cell has 64 KiB.
const MOST_RECORD_BYTES: u64 = 2 << 20;
/// Bytes of the XML of a cell at most. A text of 32,767 characters, each with a font of its own, has less.
const MOST_CELL_XML_BYTES: u64 = 8 << 20;
/// Bytes of a tag that are looked at.
const MOST_TAG_BYTES: usize = 64 << 10;

/// What goes through one part.
#[derive(Debug)]
pub(super) enum Scan {
    Texts(Texts),
    Cells(Cells),
    Records(Records),
    Nothing,
}

impl Scan {
    /// What goes through the part of this name, which is in lower case. `binary`: its sheets may be those of
    /// xlsb.
    pub(super) fn of(name: &str, binary: bool) -> Self {
        let name = name.replace('\\', "/");
        let sheet = ["xl/worksheets/", "xl/chartsheets/", "xl/dialogsheets/"];
        match &*name {
            "xl/styles.bin" => Self::Records(Records::new(Kind::Styles)),
            "xl/workbook.bin" => Self::Records(Records::new(Kind::Workbook)),
            "xl/sharedstrings.bin" => Self::Records(Records::new(Kind::Plain)),
            name if binary && sheet.iter().any(|folder| name.starts_with(folder)) => {
                Self::Records(Records::new(Kind::Plain))
            }
            name if name.ends_with("sharedstrings.xml") => Self::Texts(Texts::default()),
            name if name.contains("worksheets/") && name.ends_with(".xml") => Self::Cells(Cells::default()),
            _ => Self::Nothing,
        }
    }

    /// Goes through the next bytes.
    ///
    /// # Errors
    /// Where something is larger than it may be, with its size and the limit.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Texts(texts) => texts.add(bytes),
            Self::Cells(cells) => cells.add(bytes),
            Self::Records(records) => records.add(bytes),
            Self::Nothing => Ok(()),
        }
    }
}

/// The cells of a sheet of xlsx. To look at each would cost as much as reading them: here a cell ends, or a row or another
/// cell begins, in every few megabytes.
#[derive(Debug, Default)]
pub(super) struct Cells {
    bytes: u64,
    ended: bool,
}

impl Cells {
    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        const MARKS: [&[u8]; 6] = [b"</c>", b"<c ", b"<row", b":c>", b":c ", b":row"];
        let mark = MARKS.iter().find_map(|mark| memchr::memmem::rfind(bytes, mark));
        let rest = &bytes[mark.unwrap_or(0)..];
        self.bytes = if mark.is_some() { 0 } else { self.bytes } + rest.len() as u64;
        // What stands behind the cells may be long.
        self.ended = (self.ended && mark.is_none()) || memchr::memmem::find(rest, b"sheetData>").is_some();
        if self.bytes > MOST_CELL_XML_BYTES && !self.ended {
            return Err(too_large("cell_bytes", self.bytes, MOST_CELL_XML_BYTES));
        }
        Ok(())
    }
}

/// The shared texts of xlsx. A text may have many runs, each a few bytes, and is one text for the library; so the longest is
/// found as the library does: from one `si` to its end, all that is inside of `t`.
#[derive(Debug, Default)]
pub(super) struct Texts {
    at: At,
    /// The tag that is being read, without its brackets.
    tag: Vec<u8>,
    /// The name of the element `t` that is open.
    open: Option<Vec<u8>>,
    /// Bytes of the present text.
    text_bytes: u64,
}

#[derive(Debug, Clone, Copy, Default)]
enum At {
    #[default]
    Text,
    /// In a tag, perhaps in the value of an attribute, which ends with this byte.
    Tag(Option<u8>),
    /// In a comment, a section of text, or an instruction, which ends with these bytes, and how many of them were met.
    Until(&'static [u8], usize),
}

impl Texts {
    fn add(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let [first, rest @ ..] = bytes {
            match self.at {
                At::Text => {
                    let tag = memchr::memchr(b'<', bytes);
                    self.add_text(tag.unwrap_or(bytes.len()))?;
                    let Some(tag) = tag else { return Ok(()) };
                    bytes = &bytes[tag + 1..];
                    self.tag.clear();
                    self.at = At::Tag(None);
                }
                At::Tag(quote) => {
                    bytes = rest;
                    self.in_tag(*first, quote)?;
                }
                At::Until(end, met) => {
                    bytes = rest;
                    self.in_section(*first, end, met)?;
                }
            }
        }
        Ok(())
    }

    fn add_text(&mut self, length: usize) -> Result<()> {
        if self.open.is_some() {
            self.text_bytes += length as u64;
        }
        if self.text_bytes > MOST_CELL_BYTES {
            return Err(too_large("text_bytes", self.text_bytes, MOST_CELL_BYTES));
        }
        Ok(())
    }

    fn in_tag(&mut self, byte: u8, quote: Option<u8>) -> Result<()> {
        match (byte, quote) {
            (b'>', None) => {
                self.at = At::Text;
                let tag = std::mem::take(&mut self.tag);
                self.end_tag(&tag)?;
                self.tag = tag;
                return Ok(());
            }
            (b'"' | b'\'', None) => self.at = At::Tag(Some(byte)),
            (byte, Some(quote)) if byte == quote => self.at = At::Tag(None),
            _ => {}
        }
        self.tag.push(byte);
        match &*self.tag {
            b"!--" => self.at = At::Until(b"-->", 0),
            b"![CDATA[" => self.at = At::Until(b"]]>", 0),
            b"?" => self.at = At::Until(b"?>", 0),
            b"!D" | b"!d" => return Err(damaged("its shared texts have a document type")),
            tag if tag.len() > MOST_TAG_BYTES => return Err(damaged("its shared texts have a tag without an end")),
            _ => {}
        }
        Ok(())
    }

    fn in_section(&mut self, byte: u8, end: &'static [u8], met: usize) -> Result<()> {
        let met = match byte {
            byte if byte == end[met] => met + 1,
            // One more of the two that are the same.
            byte if byte == end[0] => met.max(1),
            _ => 0,
        };
        self.at = if met == end.len() { At::Text } else { At::Until(end, met) };
        self.add_text(usize::from(end == b"]]>"))
    }

    fn end_tag(&mut self, tag: &[u8]) -> Result<()> {
        let closes = tag.first() == Some(&b'/');
        let name = &tag[usize::from(closes)..];
        let name = name.split(|byte| byte.is_ascii_whitespace() || *byte == b'/').next().unwrap_or_default();
        let local = name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
        match (closes, &self.open, local) {
            (true, Some(open), _) if open == name => self.open = None,
            (_, Some(_), _) => {}
            (true, None, b"si") => self.text_bytes = 0,
            (false, None, b"t") if !tag.ends_with(b"/") => self.open = Some(name.to_vec()),
            (false, None, b"sst") => check_count(tag)?,
            _ => {}
        }
        Ok(())
    }
}

/// The library makes room for as many texts as this tag says that there are.
fn check_count(tag: &[u8]) -> Result<()> {
    let most = MOST_TEXT_BYTES / TEXT_BYTES;
    for at in memchr::memmem::find_iter(tag, b"uniqueCount") {
        let digits =
            tag[at..].iter().skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
        let count = digits.fold(0_u64, |count, digit| count.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        if count > most {
            let error = too_large("shared_texts", count, MOST_TEXT_BYTES);
            return Err(error.with("limit_texts", most));
        }
    }
    Ok(())
}

/// The records of a part of xlsb: a type, a length, and so many bytes, for which the library makes room before it has them.
#[derive(Debug)]
pub(super) struct Records {
    kind: Kind,
    at: Place,
    /// The type of the present record.
    number: u16,
    /// The first bytes of its content.
    head: Vec<u8>,
    /// The type and number of the records that are looked for, where the library then reads over others.
    sought: (u16, u32),
}

/// How the library reads a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Record by record.
    Plain,
    /// Of records that it does not look for it takes the type alone, and goes on in the middle of them.
    Styles,
    /// Record by record up to the end of the list of sheets.
    Workbook,
    /// Behind that as in styles.
    Names,
    /// Not at all.
    Done,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Type(Option<u8>),
    Length(u32, u64),
    Content(u64),
}

/// Types of records.
const FORMATS: u16 = 0x0267;
const FORMAT: u16 = 0x002c;
const CELL_STYLES: u16 = 0x0269;
const CELL_STYLE: u16 = 0x002f;
const END_OF_SHEETS: u16 = 0x0090;
const EXTERNAL_SHEET: u16 = 0x016a;
const NAME: u16 = 0x0027;
const BEHIND_NAMES: [u16; 9] = [0x009d, 0x0225, 0x018d, 0x0180, 0x009a, 0x0252, 0x0229, 0x009b, 0x0084];

impl Records {
    fn new(kind: Kind) -> Self {
        Self { kind, at: Place::Type(None), number: 0, head: Vec::new(), sought: (0, 0) }
    }

    fn add(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let [first, rest @ ..] = bytes {
            if self.kind == Kind::Done {
                return Ok(());
            }
            bytes = rest;
            match self.at {
                Place::Type(None) if first & 0x80 != 0 => self.at = Place::Type(Some(first & 0x7f)),
                Place::Type(low) => {
                    let high = low.map_or(0, |_| u16::from(first & 0x7f) << 7);
                    self.begin(low.map_or(u16::from(*first), u16::from) + high);
                }
                Place::Length(shift, length) => {
                    let length = length + (u64::from(first & 0x7f) << shift);
                    let more = first & 0x80 != 0 && shift < 21;
                    self.at = if more { Place::Length(shift + 7, length) } else { self.content(length)? };
                }
                Place::Content(left) => {
                    self.head.extend((self.head.len() < 4).then_some(*first));
                    let taken = (left - 1).min(rest.len() as u64);
                    // The first bytes are taken one at a time.
                    let taken = if self.head.len() < 4 { 0 } else { taken };
                    bytes = &rest[taken as usize..];
                    self.at = self.after(left - 1 - taken);
                }
            }
        }
        Ok(())
    }

    /// Begins a record of this type.
    fn begin(&mut self, number: u16) {
        self.number = number;
        let has_content = match self.kind {
            _ if self.sought.1 > 0 => true,
            Kind::Plain | Kind::Done => true,
            Kind::Styles => matches!(number, FORMATS | CELL_STYLES),
            Kind::Workbook => number != END_OF_SHEETS,
            Kind::Names => matches!(number, EXTERNAL_SHEET | NAME),
        };
        if self.kind == Kind::Workbook && number == END_OF_SHEETS {
            self.kind = Kind::Names;
        } else if self.kind == Kind::Names && BEHIND_NAMES.contains(&number) {
            self.kind = Kind::Done;
        }
        self.head.clear();
        self.at = if has_content { Place::Length(0, 0) } else { Place::Type(None) };
    }

    fn content(&mut self, length: u64) -> Result<Place> {
        if length > MOST_RECORD_BYTES {
            return Err(too_large("record_bytes", length, MOST_RECORD_BYTES).with("record", self.number));
        }
        Ok(self.after(length))
    }

    /// Where it is when so much of the content is left.
    fn after(&mut self, left: u64) -> Place {
        if left > 0 {
            return Place::Content(left);
        }
        let (sought, count) = self.sought;
        if count > 0 {
            let found = u32::from(self.number == sought);
            self.sought.1 -= found;
            if self.sought.1 == 0 && sought == CELL_STYLE {
                self.kind = Kind::Done;
            }
        } else if self.kind == Kind::Styles {
            let count = self.head.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let sought = if self.number == FORMATS { FORMAT } else { CELL_STYLE };
            self.sought = (sought, count);
            if count == 0 && sought == CELL_STYLE {
                self.kind = Kind::Done;
            }
        }
        Place::Type(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_base::error::Error;

    fn scanned(mut scan: Scan, bytes: &[u8], piece: usize) -> Result<(), Error> {
        bytes.chunks(piece).try_for_each(|piece| scan.add(piece))
    }

    fn texts(xml: &str) -> Option<String> {
        let results = [1, 7, 1 << 14, usize::MAX].map(|piece| {
            let scanned = scanned(Scan::of("xl/sharedstrings.xml", false), xml.as_bytes(), piece);
            scanned.err().map(|error| format!("{error:?}"))
        });
        assert!(results.iter().all(|result| result.is_some() == results[0].is_some()), "{results:?}");
        results.into_iter().next().flatten()
    }

    #[test]
    fn a_text_of_many_runs_is_one_text() {
        let run = format!("<r><rPr><sz val=\"11\"/></rPr><t xml:space='preserve'>{}</t></r>", "x".repeat(400_000));
        assert!(texts(&format!("<sst><si>{}</si></sst>", run.repeat(3))).is_some());
        assert_eq!(texts(&format!("<sst><si>{}</si><si>{run}</si></sst>", run.repeat(2))), None);
        let named = run.replace("<t ", "<x:t ").replace("</t>", "</x:t>");
        assert!(texts(&format!("<x:sst><x:si>{}</x:si></x:sst>", named.repeat(3))).is_some());
    }

    /// What looks like the end of a text and is none.
    #[test]
    fn a_long_text_cannot_hide() {
        let part = "x".repeat(400_000);
        for between in [
            "<!--</si>-->",
            "<![CDATA[</si></t>]]>",
            "<a b='</t></si>'/>",
            "</si>",
            "<t></t2></si>",
            "<?a </t></si>?>",
            "<![CDATA[x]]]>",
            "<!-- --->",
        ] {
            let xml = format!("<sst><si><t>{part}{between}{part}{between}{part}</t></si></sst>");
            assert!(texts(&xml).is_some(), "{between}");
        }
        let data = format!("<sst><si><t><![CDATA[{}]]></t></si></sst>", part.repeat(3));
        assert!(texts(&data).is_some());
        let fine =
            format!("<sst><si><t>{part}</t></si><!-- {} --><si><t>{part}</t><a/><t/></si></sst>", part.repeat(9));
        assert_eq!(texts(&fine), None);
    }

    #[test]
    fn a_number_of_texts_that_cannot_be_is_refused() {
        let error =
            texts(r#"<?xml version="1.0"?><sst count="1" uniqueCount="99999999999999999999"><si/></sst>"#).unwrap();
        assert!(error.contains("shared_texts"), "{error}");
        assert_eq!(texts(r#"<sst count="99999999" uniqueCount="1000000"><si/></sst>"#), None);
    }

    fn record(number: u16, content: &[u8]) -> Vec<u8> {
        let mut bytes = match number {
            0..0x80 => vec![number as u8],
            _ => vec![number as u8 | 0x80, (number >> 7) as u8],
        };
        let mut length = content.len();
        while length >= 0x80 {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend(content);
        bytes
    }

    fn records(part: &str, bytes: &[u8]) -> Option<String> {
        let results = [1, 3, usize::MAX].map(|piece| {
            scanned(Scan::of(part, true), bytes, piece)
                .err()
                .and_then(|error| error.get("record_bytes").map(str::to_owned))
        });
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results.into_iter().next().flatten()
    }

    /// A record that says that it has 268,435,455 bytes.
    const LONG: [u8; 5] = [7, 0xff, 0xff, 0xff, 0x7f];

    #[test]
    fn a_long_record_is_found_wherever_the_library_would_meet_it() {
        let some = [record(0x91, &[]), record(7, &[9; 300]), record(0x1e5, &[0xff; 5000])].concat();
        for part in ["xl/sharedstrings.bin", "xl/worksheets/sheet1.bin", "xl\\worksheets\\any.thing", "xl/workbook.bin"]
        {
            assert_eq!(records(part, &some), None, "{part}");
            assert_eq!(records(part, &[&some[..], &LONG].concat()).as_deref(), Some("268435455"), "{part}");
        }
        let formats = [record(FORMATS, &[2, 0, 0, 0]), record(FORMAT, &[1; 9]), some.clone()].concat();
        assert_eq!(records("xl/styles.bin", &[&formats[..], &LONG].concat()).as_deref(), Some("268435455"));
        let rest = [record(FORMAT, &[1; 9]), record(CELL_STYLES, &[1, 0, 0, 0]), record(CELL_STYLE, &[0; 16])].concat();
        assert_eq!(records("xl/styles.bin", &[&formats[..], &rest, &LONG].concat()), None);
        let within =
            [vec![0x70, EXTERNAL_SHEET as u8 | 0x80, (EXTERNAL_SHEET >> 7) as u8], LONG[1..].to_vec()].concat();
        let sheets = [some, record(END_OF_SHEETS, &[])].concat();
        assert_eq!(records("xl/workbook.bin", &[&sheets[..], &within].concat()).as_deref(), Some("268435455"));
        let done = [&sheets[..], &[BEHIND_NAMES[0] as u8 | 0x80, 1], &within].concat();
        assert_eq!(records("xl/workbook.bin", &done), None);
    }
}
