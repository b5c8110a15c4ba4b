//! `YYYY-MM-DD HH:MM:SS.mmm`, remembering the second that was written last.

/// Writes timestamps; successive ones mostly share all but the milliseconds.
#[derive(Clone)]
pub(super) struct TimestampText {
    second: i64,
    text: [u8; 23],
}

impl TimestampText {
    pub(super) fn new() -> Self {
        TimestampText { second: i64::MIN, text: *b"0000-00-00 00:00:00.000" }
    }

    /// Appends a time in ms since 1970.
    #[inline]
    pub(super) fn write(&mut self, ms: i64, out: &mut Vec<u8>) {
        let second = ms.div_euclid(1000);
        if second != self.second {
            self.set_second(second);
        }
        put_digits(&mut self.text[20..23], ms.rem_euclid(1000));
        out.extend_from_slice(&self.text);
    }

    #[cold]
    fn set_second(&mut self, second: i64) {
        let (year, month, day) = civil_from_days(second.div_euclid(86_400));
        let of_day = second.rem_euclid(86_400);
        put_digits(&mut self.text[0..4], year);
        put_digits(&mut self.text[5..7], month);
        put_digits(&mut self.text[8..10], day);
        put_digits(&mut self.text[11..13], of_day / 3600);
        put_digits(&mut self.text[14..16], of_day / 60 % 60);
        put_digits(&mut self.text[17..19], of_day % 60);
        self.second = second;
    }
}

fn put_digits(out: &mut [u8], mut value: i64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a number of days since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", 2013).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
