//! Numbers at the beginning of pages: lengths, each stored as its difference to the one before, and levels of repetition.

use std::io::{self, BufRead};

use super::body::invalid;

/// The format has four groups of differences in a block; nobody writes more than a few.
const MOST_GROUPS: u64 = 1024;

/// How a list of numbers begins that are stored as differences (`DELTA_BINARY_PACKED`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Heading {
    /// Numbers of the list.
    count: u64,
    first: i32,
    /// Groups of a block, and numbers of a group.
    groups: usize,
    group: u64,
}

/// Reads the heading of a list.
///
/// # Errors
/// Where the list has more than `most` numbers, or the bytes are not what the format says.
pub(super) fn heading(bytes: &mut dyn BufRead, most: u64) -> io::Result<Heading> {
    let (block, groups, count) = (varint(bytes)?, varint(bytes)?, varint(bytes)?);
    let first = number(bytes)?;
    if block == 0 || groups == 0 || groups > MOST_GROUPS || block % groups != 0 || (block / groups) % 32 != 0 {
        return Err(invalid("the blocks of a list of numbers have a size that is none"));
    }
    if count > most {
        return Err(invalid(format!("a list has {count} numbers for {most} values")));
    }
    Ok(Heading { count, first, groups: groups as usize, group: block / groups })
}

/// Reads the numbers of a list, which have 32 bits, and gives each to `add` with how often it stands there in succession.
/// Numbers wrap, as they do for the library.
///
/// # Errors
/// Where the bytes end too soon or are not what the format says, or `add` fails.
pub(super) fn numbers(
    bytes: &mut dyn BufRead,
    heading: Heading,
    add: &mut dyn FnMut(i32, u64) -> io::Result<()>,
) -> io::Result<()> {
    if heading.count == 0 {
        return Ok(());
    }
    let mut last = heading.first;
    add(last, 1)?;
    let mut left = heading.count - 1;
    let mut widths = [0; MOST_GROUPS as usize];
    let widths = &mut widths[..heading.groups];
    while left > 0 {
        let least = number(bytes)?;
        bytes.read_exact(widths)?;
        for &width in &*widths {
            let count = left.min(heading.group);
            add_group(bytes, width, least, count, &mut last, add)?;
            left -= count;
            if left == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Reads `count` differences of `width` bits, eight at a time.
fn add_group(
    bytes: &mut dyn BufRead,
    width: u8,
    least: i32,
    count: u64,
    last: &mut i32,
    add: &mut dyn FnMut(i32, u64) -> io::Result<()>,
) -> io::Result<()> {
    if width == 0 && least == 0 {
        return add(*last, count);
    }
    if width > 32 {
        return Err(invalid("a list of numbers has more than 32 bits for one"));
    }
    let mut left = count;
    while left > 0 {
        let mut packed = [0; 32];
        bytes.read_exact(&mut packed[..usize::from(width)])?;
        let eight = unpacked(&packed, width);
        for difference in eight.into_iter().take(usize::try_from(left).unwrap_or(8)) {
            *last = last.wrapping_add(least).wrapping_add(difference.cast_signed());
            add(*last, 1)?;
        }
        left = left.saturating_sub(8);
    }
    Ok(())
}

/// Eight numbers of `width` bits, 32 at most, the lowest first. They stand in as many bytes as they have bits.
fn unpacked(packed: &[u8; 32], width: u8) -> [u32; 8] {
    let (mut next, mut bits, mut held, mut numbers) = (packed.iter(), 0_u64, 0, [0; 8]);
    for number in &mut numbers {
        while held < width {
            bits |= u64::from(next.next().copied().unwrap_or(0)) << held;
            held += 8;
        }
        *number = (bits & ((1 << width) - 1)) as u32;
        bits >>= width;
        held -= width;
    }
    numbers
}

/// Reads `count` levels of `width` bits that are stored as runs and packed groups (`RLE`), and tells `add` of some values at a
/// time how many there are, and how many of them are 0. Gives how many levels there are, which is `count` unless the bytes
/// end before.
///
/// # Errors
/// As [`BufRead::fill_buf`].
pub(super) fn levels(bytes: &mut dyn BufRead, width: u8, count: u64, add: &mut dyn FnMut(u64, u64)) -> io::Result<u64> {
    let mut done = 0;
    while done < count && !bytes.fill_buf()?.is_empty() {
        let header = varint(bytes)?;
        let length = header >> 1;
        if header & 1 == 0 {
            let mut value = [0; 4];
            bytes.read_exact(&mut value[..usize::from(width.div_ceil(8))])?;
            let values = length.min(count - done);
            add(values, if value == [0; 4] { values } else { 0 });
            done += values;
            continue;
        }
        let values = length.saturating_mul(8).min(count - done);
        let read = packed_levels(bytes, width, values, add)?;
        done += read;
        if read < values {
            break;
        }
    }
    Ok(done)
}

/// As [`levels`], of levels that are all packed.
pub(super) fn packed_levels(
    bytes: &mut dyn BufRead,
    width: u8,
    count: u64,
    add: &mut dyn FnMut(u64, u64),
) -> io::Result<u64> {
    let (mut done, width_bytes) = (0, usize::from(width));
    while done < count {
        let mut packed = [0; 32];
        let read = read_up_to(bytes, &mut packed[..width_bytes])?;
        // The last group ends with the byte that has its last value.
        let values = (count - done).min(8).min(read as u64 * 8 / u64::from(width.max(1)));
        if values == 0 {
            break;
        }
        let eight = unpacked(&packed, width);
        let zeros = eight.iter().take(values as usize).filter(|level| **level == 0).count();
        add(values, zeros as u64);
        done += values;
    }
    Ok(done)
}

/// Fills `out`, or as much of it as there are bytes.
fn read_up_to(bytes: &mut dyn BufRead, out: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < out.len() {
        match bytes.read(&mut out[read..])? {
            0 => break,
            count => read += count,
        }
    }
    Ok(read)
}

fn varint(bytes: &mut dyn BufRead) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        bytes.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 127) << shift;
        if byte[0] < 128 {
            return Ok(value);
        }
    }
    Err(invalid("a number has no end"))
}

/// A signed number of 32 bits.
fn number(bytes: &mut dyn BufRead) -> io::Result<i32> {
    let value = varint(bytes)?;
    let signed = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
    i32::try_from(signed).map_err(|_| invalid("a number has more than 32 bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes what [`numbers`] reads, as the format describes it: blocks of 128 numbers in four groups.
    fn packed_differences(numbers: &[i32]) -> Vec<u8> {
        let mut out = Vec::new();
        for head in [128, 4, numbers.len() as u64] {
            put(head, &mut out);
        }
        let zigzag = |number: i32| u64::from(((number << 1) ^ (number >> 31)).cast_unsigned());
        put(zigzag(numbers.first().copied().unwrap_or(0)), &mut out);
        let steps: Vec<i32> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        for block in steps.chunks(128) {
            let least = block.iter().copied().min().unwrap_or(0);
            put(zigzag(least), &mut out);
            let over = |step: &i32| step.wrapping_sub(least).cast_unsigned();
            let groups: Vec<Vec<u32>> = block.chunks(32).map(|group| group.iter().map(over).collect()).collect();
            let width = |group: &Vec<u32>| 32 - group.iter().fold(0, |all, step| all | step).leading_zeros();
            // What stands in place of groups that are not there may be anything.
            out.extend((0..4).map(|at| groups.get(at).map_or(77, |group| width(group) as u8)));
            groups.iter().for_each(|group| put_packed(group, width(group), 32, &mut out));
        }
        out
    }

    fn put(mut number: u64, out: &mut Vec<u8>) {
        while number >= 128 {
            out.push(number as u8 | 128);
            number >>= 7;
        }
        out.push(number as u8);
    }

    fn put_packed(numbers: &[u32], width: u32, count: usize, out: &mut Vec<u8>) {
        let mut bits = vec![false; count * width as usize];
        for (at, number) in numbers.iter().enumerate() {
            (0..width).for_each(|bit| bits[at * width as usize + bit as usize] = number >> bit & 1 == 1);
        }
        out.extend(bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |all, bit| all << 1 | u8::from(*bit))));
    }

    fn read(mut bytes: &[u8], most: u64) -> io::Result<Vec<i32>> {
        let mut all = Vec::new();
        let heading = heading(&mut bytes, most)?;
        numbers(&mut bytes, heading, &mut |number, times| {
            all.extend((0..times).map(|_| number));
            Ok(())
        })?;
        assert_eq!(heading.count, all.len() as u64);
        Ok(all)
    }

    #[test]
    fn differences_of_any_width_give_their_numbers() {
        let noise = |at: u64, bits: u32| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as u32 as i32;
        for count in [0, 1, 2, 8, 9, 32, 33, 34, 128, 129, 130, 257, 1000] {
            for bits in 1..=32 {
                let numbers: Vec<i32> = (0..count).map(|at| noise(at, bits)).collect();
                assert_eq!(read(&packed_differences(&numbers), 1000).unwrap(), numbers, "{count} of {bits} bits");
            }
            let same = vec![-7; count as usize];
            assert_eq!(read(&packed_differences(&same), 1000).unwrap(), same);
            let rising: Vec<i32> = (0..count as i32).map(|at| 3 * at).collect();
            assert_eq!(read(&packed_differences(&rising), 1000).unwrap(), rising);
        }
    }

    #[test]
    fn lists_that_end_too_soon_or_are_too_long_are_errors() {
        let packed = packed_differences(&(0..500).map(|at| at * at).collect::<Vec<i32>>());
        (0..packed.len() - 40).for_each(|cut| assert!(read(&packed[..cut], 500).is_err(), "{cut}"));
        let error = read(&packed, 499).unwrap_err().to_string();
        assert_eq!(error, "a list has 500 numbers for 499 values");
        assert!(read(&[0, 1, 9, 0, 0, 0], 500).is_err() && read(&[128, 1, 0, 9, 0], 500).is_err());
    }

    fn counted(mut bytes: &[u8], width: u8, count: u64) -> (u64, u64, u64) {
        let (mut values, mut zeros) = (0, 0);
        let read = levels(&mut bytes, width, count, &mut |more, none| {
            (values, zeros) = (values + more, zeros + none);
        });
        (read.unwrap(), values, zeros)
    }

    #[test]
    fn levels_are_counted_in_runs_and_in_groups() {
        for (width, top) in [(1_u32, 1_u32), (2, 3), (2, 2), (3, 5), (9, 300)] {
            let numbers: Vec<u32> = (0..77).map(|at| at * 7 % (top + 1)).collect();
            let zeros = numbers.iter().filter(|number| **number == 0).count() as u64;
            let mut bytes = Vec::new();
            put(10 << 1 | 1, &mut bytes);
            put_packed(&numbers, width, 80, &mut bytes);
            let bytes_of_level = width.div_ceil(8) as usize;
            put(1000 << 1, &mut bytes);
            bytes.extend(&top.to_le_bytes()[..bytes_of_level]);
            put(5 << 1, &mut bytes);
            bytes.extend(&[0; 4][..bytes_of_level]);
            // Three more values are in the tenth group, all of them 0.
            assert_eq!(counted(&bytes, width as u8, 1085), (1085, 1085, zeros + 3 + 5), "{width}");
            assert_eq!(counted(&bytes, width as u8, 77), (77, 77, zeros), "{width}");
            assert_eq!(counted(&bytes, width as u8, 5000), (1085, 1085, zeros + 3 + 5), "{width}");
            let mut packed = Vec::new();
            put_packed(&numbers, width, 77, &mut packed);
            let mut found = 0;
            let read = packed_levels(&mut &packed[..], width as u8, 77, &mut |_, none| found += none);
            assert_eq!((read.unwrap(), found), (77, zeros), "{width}");
        }
    }
}
