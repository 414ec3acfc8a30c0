//! Days since 1970 as dates of the Gregorian calendar.

/// Year, month and day of a number of days since 1970 in the proleptic Gregorian calendar. Internally, years start in
/// March, so that the leap day is the last day and the lengths of months form a linear function (Neri and Schneider,
/// "Euclidean affine functions and their application to calendar algorithms"). All divisions are by constants and have
/// 32 bits.
#[inline(always)]
pub fn civil(days: i64) -> (i64, u32, u32) {
    /// Days from the first of March of the year 0 to 1970.
    const SHIFT: i64 = 719_468;
    /// Days of 400 years.
    const ERA_DAYS: i64 = 146_097;
    /// Moves dates up to 3.2 million years before 1970 into what follows.
    const ERAS: i64 = 8_000;
    let shifted = days + SHIFT + ERAS * ERA_DAYS;
    let (number, eras) = match u32::try_from(shifted) {
        Ok(number) if number < 1 << 30 << 1 => (number, ERAS),
        // i64::MAX seconds are 1.07e14 days: no sum here can overflow.
        _ => ((days + SHIFT).rem_euclid(ERA_DAYS) as u32, -(days + SHIFT).div_euclid(ERA_DAYS)),
    };
    let (century, of_century) = {
        let quarters = u64::from(number) * 4 + 3;
        ((quarters / 146_097) as u32, (quarters % 146_097) as u32 / 4)
    };
    let scaled = 2_939_745 * u64::from(of_century * 4 + 3);
    let (of_century, day_of_year) = ((scaled >> 32) as u32, scaled as u32 / 2_939_745 / 4);
    let line = 2141 * day_of_year + 197_913;
    let (month, day) = (line >> 16, (line & 0xffff) / 2141 + 1);
    let next = day_of_year >= 306;
    let year = i64::from(century * 100 + of_century) - eras * 400 + i64::from(next);
    (year, if next { month - 12 } else { month }, day)
}
