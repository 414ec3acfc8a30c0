//! Decompression in any pieces, damage, and limits.

use std::io::Write;

use super::*;

/// What is compressed by the codec's own library. (`integration_tests/fixtures` has files of other tools.)
pub(crate) fn compressed(compression: Compression, text: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::stream::encode_all(text, 3).unwrap(),
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Lz4 => lz4(text, lz4_flex::frame::BlockMode::Linked),
        Compression::Snappy => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(text).unwrap();
            encoder.into_inner().unwrap()
        }
        other => panic!("{other:?} is not made here"),
    }
}

fn lz4(text: &[u8], mode: lz4_flex::frame::BlockMode) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(mode)
        .block_size(lz4_flex::frame::BlockSize::Max64KB)
        .block_checksums(true)
        .content_checksum(true)
        .content_size(Some(text.len() as u64));
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Codecs whose members may follow one another.
pub(crate) const MANY: [Compression; 6] =
    [Compression::Gzip, Compression::Bzip2, Compression::Zstd, Compression::Xz, Compression::Lz4, Compression::Snappy];

const START: Frame = Frame { stored: 0, decoded: 0 };

/// Decodes in pieces of `piece` stored bytes and blocks of `block` decoded ones, from `start` on.
fn decoded_from(
    compression: Compression,
    stored: &[u8],
    start: Frame,
    piece: usize,
    block: usize,
) -> Result<(Vec<u8>, Vec<Frame>)> {
    let mut source = Source::new(compression, start, Caps::default())?;
    let (mut fed, mut all, mut out, mut frames) = (start.stored as usize, Vec::new(), Vec::new(), Vec::new());
    loop {
        out.clear();
        let filled = source.read(&mut out, block)?;
        assert!(out.len() <= out.capacity() && (filled != Filled::Full || out.len() >= block));
        all.extend_from_slice(&out);
        frames.extend(source.frame_of(start.decoded + all.len() as u64));
        match filled {
            Filled::Full => {}
            Filled::End => return Ok((all, frames)),
            Filled::NeedBytes if fed == stored.len() => source.finish(),
            Filled::NeedBytes => {
                let end = (fed + piece).min(stored.len());
                source.feed(fed as u64, Bytes::copy_from_slice(&stored[fed..end]))?;
                fed = end;
            }
        }
    }
}

fn decoded(compression: Compression, stored: &[u8], piece: usize, block: usize) -> Result<Vec<u8>> {
    decoded_from(compression, stored, START, piece, block).map(|(text, _)| text)
}

/// Text with long and short repetitions, and some without any.
fn sample(bytes: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut text = Vec::new();
    while text.len() < bytes {
        match next() % 3 {
            0 => text.extend((0..next() % 300).map(|_| next() as u8)),
            1 => text.extend(std::iter::repeat_n(b'a' + (next() % 26) as u8, (next() % 5000) as usize)),
            _ => {
                let from = next() as usize % (text.len() + 1);
                let to = text.len().min(from + next() as usize % 20_000);
                text.extend_from_within(from..to);
            }
        }
    }
    text.truncate(bytes);
    text
}

#[test]
fn members_are_read_in_any_pieces() {
    let text = sample(400_000);
    for compression in MANY {
        let made = |text: &[u8]| compressed(compression, text);
        let stored = [made(&text), made(b""), made(b"end"), made(&text[..1000])].concat();
        let expected = [&text, &b"end"[..], &text[..1000]].concat();
        for (piece, room) in [(1, 7), (stored.len(), 1 << 20), (1000, 333), (13, 4096)] {
            let found = decoded(compression, &stored, piece, room).unwrap();
            assert!(found == expected, "{compression:?} {piece} {room}: {} of {}", found.len(), expected.len());
            let found = decoded(Compression::Auto, &stored, piece, room).unwrap();
            assert!(found == expected, "by magic: {compression:?} {piece} {room}");
        }
        assert_eq!(decoded(compression, b"", 1, 1).unwrap(), b"", "an object without bytes has no text");
    }
}

#[test]
fn reading_can_begin_at_every_remembered_start() {
    let text = sample(50_000);
    for compression in MANY {
        let parts: Vec<Vec<u8>> = text.chunks(7000).map(|part| compressed(compression, part)).collect();
        let stored = parts.concat();
        let (_, frames) = decoded_from(compression, &stored, START, 100, 1000).unwrap();
        if compression == Compression::Snappy {
            assert_eq!(frames, [], "there is nothing to begin at");
            continue;
        }
        let distinct: std::collections::BTreeSet<_> = frames.iter().map(|frame| frame.stored).collect();
        assert_eq!(distinct.len(), parts.len() - 1, "{compression:?}: {frames:?}");
        for frame in frames {
            for given in [compression, Compression::Auto] {
                let (rest, _) = decoded_from(given, &stored, frame, 100, 1000).unwrap();
                assert!(rest == text[frame.decoded as usize..], "{given:?} {compression:?} from {frame:?}");
            }
        }
    }
    let one = compressed(Compression::Gzip, &text);
    let (_, frames) = decoded_from(Compression::Auto, &one, START, 100, 1000).unwrap();
    assert!(frames.iter().all(|frame| *frame == START) && !frames.is_empty(), "compression found out is remembered");
}

#[test]
fn plain_text_is_told_from_compressed() {
    for text in ["", "a", "BZh is no magic number alone\n", "PK\n", "{\"a\":1}\n"] {
        assert_eq!(decoded(Compression::Auto, text.as_bytes(), 1, 3).unwrap(), text.as_bytes());
    }
    let error = decoded(Compression::Auto, b"PK\x03\x04 and more of it", 5, 100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

#[test]
fn lz4_blocks_may_be_independent_and_frames_without_text_are_left_out() {
    let text = sample(300_000);
    let without_text = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let frame = lz4(&text, lz4_flex::frame::BlockMode::Independent);
    let stored = [without_text.clone(), frame, without_text].concat();
    for (piece, room) in [(1, 1000), (stored.len(), 100), (777, 1 << 20)] {
        assert!(decoded(Compression::Lz4, &stored, piece, room).unwrap() == text, "{piece} {room}");
    }
}

#[test]
fn zstd_frames_without_text_are_left_out() {
    let without_text = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let frame = compressed(Compression::Zstd, b"text");
    let stored = [without_text.clone(), frame.clone(), without_text, frame].concat();
    for compression in [Compression::Zstd, Compression::Auto] {
        assert_eq!(decoded(compression, &stored, 1, 100).unwrap(), b"texttext");
    }
}

#[test]
fn snappy_is_read_in_all_its_forms() {
    let text = sample(3_000_000);
    let raw = |text: &[u8]| snap::raw::Encoder::new().compress_vec(text).unwrap();
    let mut hadoop = Vec::new();
    for block in text.chunks(200_000) {
        hadoop.extend((block.len() as u32).to_be_bytes());
        for chunk in block.chunks(60_000) {
            let chunk = raw(chunk);
            hadoop.extend((chunk.len() as u32).to_be_bytes());
            hadoop.extend(chunk);
        }
    }
    for (name, stored) in [("raw", raw(&text)), ("hadoop", hadoop)] {
        for (piece, room) in [(stored.len(), 1 << 22), (1, 100_000), (1000, 333)] {
            let found = decoded(Compression::Snappy, &stored, piece, room).unwrap();
            assert!(found == text, "{name} {piece} {room}: {} bytes", found.len());
        }
        // One zero byte alone would be a raw block without text.
        for cut in [3, 11, stored.len() / 2, stored.len() - 1] {
            assert!(decoded(Compression::Snappy, &stored[..cut], 64, 4096).is_err(), "{name} cut at {cut}");
        }
    }
    for (text, stored) in [("", &b"\0"[..]), ("a", b"\x01\0a"), ("abcabcabc", b"\x09\x08abc\x09\x03")] {
        assert_eq!(decoded(Compression::Snappy, stored, 1, 2).unwrap(), text.as_bytes());
    }
    for damaged in [&b"\x09\x08abc\x09\x04"[..], b"\x02\x08abc", b"\xff\xff\xff\xff\xff\xff\xff", b"\x01\0ab"] {
        let error = decoded(Compression::Snappy, damaged, 1, 100).unwrap_err();
        assert!(error.get("byte").is_some(), "{error}");
    }
}

#[test]
fn brotli_is_read_once_and_nothing_behind_it() {
    let text = sample(500_000);
    let mut stored = Vec::new();
    let params = brotli::enc::BrotliEncoderParams { quality: 5, ..Default::default() };
    brotli::BrotliCompress(&mut &text[..], &mut stored, &params).unwrap();
    for (piece, room) in [(stored.len(), 1 << 22), (1, 10_000), (1000, 333)] {
        assert!(decoded(Compression::Brotli, &stored, piece, room).unwrap() == text, "{piece} {room}");
    }
    for cut in [1, 100, stored.len() - 1] {
        assert!(decoded(Compression::Brotli, &stored[..cut], 64, 4096).is_err(), "cut at {cut}");
    }
    let error = decoded(Compression::Brotli, &[&stored[..], b"x"].concat(), 64, 4096).unwrap_err();
    assert_eq!(error.get("byte"), Some(&*stored.len().to_string()), "{error}");
}

#[test]
fn padding_behind_gzip_and_xz_is_left_out() {
    for compression in [Compression::Gzip, Compression::Xz] {
        let one = compressed(compression, b"one");
        let stored = [&one[..], &[0; 4], &one[..], &[0; 100]].concat();
        for piece in [1, 7, stored.len()] {
            assert_eq!(decoded(compression, &stored, piece, 100).unwrap(), b"oneone", "{compression:?}");
        }
    }
}

#[test]
fn truncated_and_broken_data_are_errors_that_name_the_byte() {
    for compression in MANY {
        let stored = compressed(compression, &sample(100_000));
        for cut in [1, 5, stored.len() / 2, stored.len() - 1] {
            let error = decoded(compression, &stored[..cut], 64, 4096).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{compression:?} cut at {cut}: {error}");
            assert!(error.get("byte").is_some_and(|byte| byte.parse::<usize>().unwrap() <= cut), "{error}");
        }
        let mut flipped = stored.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        if compression != Compression::Zstd {
            assert!(decoded(compression, &flipped, 64, 4096).is_err(), "{compression:?}: the checksum is checked");
        }
        let error = decoded(compression, b"plain text of some length", 64, 4096).unwrap_err();
        assert!(error.kind() == ErrorKind::Data && error.get("byte").is_some(), "{error}");
        let garbage = [&b"\0\0\x01"[..], b"x", &stored[..1]];
        for garbage in garbage {
            let behind = [&stored, garbage].concat();
            let error = decoded(compression, &behind, 4096, 4096).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{compression:?} {garbage:?}: {error}");
            assert!(error.get("byte").is_some(), "{error}");
        }
    }
}

#[test]
fn a_bomb_is_stopped() {
    for compression in [Compression::Gzip, Compression::Bzip2, Compression::Zstd, Compression::Xz, Compression::Lz4] {
        let stored = compressed(compression, &vec![0; 16 << 20]);
        let ratios = [Caps { ratio: 100, ..Caps::default() }, Caps { decoded_bytes: 3 << 20, ..Caps::default() }];
        for caps in ratios {
            let mut source = Source::new(compression, START, caps).unwrap();
            source.feed(0, Bytes::from(stored.clone())).unwrap();
            let mut total = 0;
            let error = loop {
                let mut out = Vec::new();
                if let Err(error) = source.read(&mut out, 1 << 16) {
                    break error;
                }
                total += out.len();
                assert!(out.len() <= 1 << 17, "{} bytes at once", out.len());
                assert!(total < 16 << 20, "{compression:?}: {total} bytes were decoded");
            };
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{compression:?} {caps:?}");
        }
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../integration_tests/fixtures/compression/");
    std::fs::read(format!("{folder}{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn files_of_other_tools_are_read() {
    let text = fixture("rows.csv");
    for name in [
        "rows.csv.gz",
        "rows.csv.bz2",
        "rows.cli.csv.bz2",
        "rows.csv.xz",
        "rows.cli.csv.xz",
        "rows.csv.zst",
        "rows.cli.csv.zst",
        "rows.csv.lz4",
        "rows.cli.csv.lz4",
        "rows.csv.sz",
        "rows.csv.snappy",
        "rows.hadoop.csv.snappy",
        "rows.csv.br",
    ] {
        let stored = fixture(name);
        let compression = Compression::Auto.resolve(name);
        assert_ne!(compression, Compression::Auto, "{name}");
        let magic = Compression::of_magic(&stored);
        for compression in [compression, if magic == Compression::None { compression } else { Compression::Auto }] {
            for (piece, room) in [(1, 1000), (stored.len(), 1 << 20), (777, 33)] {
                let found = decoded(compression, &stored, piece, room);
                assert!(
                    found.as_ref().is_ok_and(|found| *found == text),
                    "{name} {compression:?} {piece} {room}: {:?}",
                    found.err()
                );
            }
        }
    }
}

/// The directory of an archive, with what it asks for, and its members.
fn directory(archive: &[u8]) -> Result<Vec<crate::zip::Member>> {
    use crate::zip::{Directory, Found};
    let mut directory = Directory::new(archive.len() as u64);
    let mut wanted = directory.first();
    loop {
        match directory.take(wanted.start, &archive[wanted.start as usize..wanted.end as usize])? {
            Found::Need(range) => wanted = range,
            Found::Members(members) => return Ok(members),
        }
    }
}

fn member(archive: &[u8], member: &crate::zip::Member, piece: usize, room: usize) -> Result<Vec<u8>> {
    let range = member.range.start as usize..member.range.end as usize;
    decoded(Compression::Zip, &archive[range], piece, room)
}

#[test]
fn members_of_zip_archives_of_other_tools_are_read() {
    let text = fixture("rows.csv");
    for name in ["members", "members.stored", "members.bzip2", "members.streamed", "members.zip64", "members.prefixed"]
    {
        let archive = fixture(&format!("{name}.zip"));
        let members = directory(&archive).unwrap_or_else(|error| panic!("{name}: {error}"));
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).take(2).collect();
        assert_eq!(names, ["a.csv", "folder/b.csv"], "{name}");
        assert!(members[0].modified_at.to_string().starts_with("2024-01-15T12:00:0"), "{name}");
        for wanted in &members[..2] {
            wanted.readable().unwrap();
            for (piece, room) in [(1, 1000), (archive.len(), 1 << 20), (777, 33)] {
                let found = member(&archive, wanted, piece, room);
                assert!(found.as_ref().is_ok_and(|found| *found == text), "{name} {piece} {room}: {:?}", found.err());
            }
        }
    }
}

#[test]
fn a_zip_archive_that_is_damaged_or_encrypted_is_refused() {
    let archive = fixture("members.zip");
    for cut in [0, 10, archive.len() / 2, archive.len() - 1] {
        assert_eq!(directory(&archive[..cut]).unwrap_err().kind(), ErrorKind::Data, "cut at {cut}");
    }
    let members = directory(&archive).unwrap();
    let mut damaged = archive.clone();
    damaged[members[0].range.start as usize + 60] ^= 1;
    let error = member(&damaged, &members[0], 100, 1000).unwrap_err();
    assert!(error.get("byte").is_some(), "{error}");
    for at in 0..archive.len() - members.last().unwrap().range.end as usize {
        let mut damaged = archive.clone();
        let place = members.last().unwrap().range.end as usize + at;
        damaged[place] = damaged[place].wrapping_add(0x55);
        // Whatever comes of it, it comes as a value.
        if let Ok(members) = directory(&damaged) {
            assert!(members.iter().all(|member| member.range.end <= archive.len() as u64));
        }
    }
    let encrypted = directory(&fixture("encrypted.zip")).unwrap();
    let error = encrypted[0].readable().unwrap_err();
    assert_eq!((error.kind(), error.get("member")), (ErrorKind::Unsupported, Some("a.csv")));
}

#[test]
fn the_directory_of_a_large_archive_is_asked_for_in_parts() {
    use crate::zip::{Directory, Found, SMALL_BYTES};
    let inner = fixture("members.zip");
    let archive = [vec![0; SMALL_BYTES as usize], inner.clone()].concat();
    let mut directory = Directory::new(archive.len() as u64);
    let tail = directory.first();
    assert!(tail.start > 0 && tail.end == archive.len() as u64, "{tail:?}");
    // As if the tail were shorter than the directory.
    let start = archive.len() - 30;
    let mut short = Directory::new(archive.len() as u64);
    let Found::Need(more) = short.take(start as u64, &archive[start..]).unwrap() else {
        panic!("the directory is missing")
    };
    assert_eq!(more.end, start as u64);
    let Found::Members(members) = short.take(more.start, &archive[more.start as usize..start]).unwrap() else {
        panic!("the directory was asked for")
    };
    let Found::Members(at_once) = directory.take(tail.start, &archive[tail.start as usize..]).unwrap() else {
        panic!("the tail holds the directory")
    };
    assert_eq!(members, at_once);
    assert_eq!(members[0].range.start, SMALL_BYTES, "offsets count from the archive's own start");
}
