//! One member of a zip archive, from its local header on.

use flate2::Crc;

use super::codec::Codec;
use super::did::Did;
use super::units::Unit;
use crate::zip::large_sizes;
use tollgate_base::options::Compression;

const HEADER: &[u8; 4] = b"PK\x03\x04";
const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";
/// The checksum and the lengths stand behind the data.
const SUMS_BEHIND: u16 = 8;
const ENCRYPTED: u16 = 1;

/// What is being read.
enum Part {
    /// The local header without name and extra fields.
    Header,
    /// The whole local header, of this length.
    Names(usize),
    /// Data as it is: so many bytes of it.
    Stored(u64),
    /// Compressed data.
    Coded(Box<Codec>),
    /// The checksum behind the data.
    Descriptor,
    Done,
}

/// See the module's text.
pub(super) struct ZipMember {
    unit: Unit,
    part: Part,
    flags: u16,
    method: u16,
    expected: u32,
    sum: Crc,
}

impl Default for ZipMember {
    fn default() -> Self {
        Self { unit: Unit::default(), part: Part::Header, flags: 0, method: 0, expected: 0, sum: Crc::new() }
    }
}

impl ZipMember {
    /// See [`Codec::window_bytes`].
    pub(super) fn window_bytes(&self) -> u64 {
        if let Part::Coded(member) = &self.part { member.window_bytes() } else { 0 }
    }

    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, target: usize) -> Did {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let length = out.len();
            let wanted = match &mut self.part {
                Part::Header => 30,
                Part::Names(bytes) => *bytes,
                Part::Descriptor => {
                    if self.unit.gathered().starts_with(DESCRIPTOR) {
                        8
                    } else {
                        4
                    }
                }
                Part::Done => return Did { used, ended: true, fault: None },
                Part::Stored(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len()).min(target - length);
                    out.extend_from_slice(&rest[..take]);
                    self.sum.update(&rest[..take]);
                    *left -= take as u64;
                    used += take;
                    if *left > 0 {
                        return Did::used(used);
                    }
                    match self.data_ended() {
                        Ok(()) => continue,
                        Err(reason) => return Did::damaged(used, reason),
                    }
                }
                Part::Coded(member) => {
                    let did = member.decode(rest, out, target);
                    self.sum.update(&out[length..]);
                    used += did.used;
                    if !did.ended || did.fault.is_some() {
                        return Did { used, ..did };
                    }
                    match self.data_ended() {
                        Ok(()) => continue,
                        Err(reason) => return Did::damaged(used, reason),
                    }
                }
            };
            used += self.unit.gather(rest, wanted);
            if self.unit.gathered().len() < wanted {
                return Did::used(used);
            }
            if let Err(reason) = self.after_unit() {
                return Did::damaged(used, reason);
            }
        }
    }

    fn after_unit(&mut self) -> Result<(), String> {
        let unit = self.unit.gathered();
        let half = |at: usize| u16::from_le_bytes([unit[at], unit[at + 1]]);
        let word = |at: usize| u32::from_le_bytes([unit[at], unit[at + 1], unit[at + 2], unit[at + 3]]);
        match self.part {
            Part::Header if unit.starts_with(HEADER) => {
                self.part = Part::Names(30 + usize::from(half(26)) + usize::from(half(28)));
                return Ok(());
            }
            Part::Header => return Err("there is no local header at the offset that the directory gives".to_owned()),
            Part::Names(_) => {
                (self.flags, self.method, self.expected) = (half(6), half(8), word(14));
                let mut sizes = [u64::from(word(22)), u64::from(word(18))];
                large_sizes(&unit[30 + usize::from(half(26))..], &mut sizes);
                self.part = self.data(sizes[1])?;
            }
            Part::Descriptor if unit.starts_with(DESCRIPTOR) && unit.len() < 8 => return Ok(()),
            Part::Descriptor => {
                self.expected = word(if unit.starts_with(DESCRIPTOR) { 4 } else { 0 });
                self.check()?;
            }
            Part::Stored(_) | Part::Coded(_) | Part::Done => {}
        }
        self.unit.clear();
        Ok(())
    }

    /// How the data is read.
    fn data(&self, stored_bytes: u64) -> Result<Part, String> {
        let open = |compression| Codec::open(compression, &[]).map_err(|error| error.to_string());
        let member = match self.method {
            _ if self.flags & ENCRYPTED != 0 => return Err("the member is encrypted".to_owned()),
            0 if self.flags & SUMS_BEHIND != 0 && stored_bytes == 0 => {
                return Err("the header of an uncompressed member has no length".to_owned());
            }
            0 => return Ok(Part::Stored(stored_bytes)),
            8 => Codec::raw_deflate(),
            12 => open(Compression::Bzip2)?,
            20 | 93 => open(Compression::Zstd)?,
            95 => open(Compression::Xz)?,
            other => return Err(format!("the member is compressed with method {other}")),
        };
        Ok(Part::Coded(Box::new(member)))
    }

    fn data_ended(&mut self) -> Result<(), String> {
        if self.flags & SUMS_BEHIND != 0 {
            self.part = Part::Descriptor;
            return Ok(());
        }
        self.check()
    }

    fn check(&mut self) -> Result<(), String> {
        self.part = Part::Done;
        if self.sum.sum() == self.expected { Ok(()) } else { Err("the checksum does not match".to_owned()) }
    }
}
