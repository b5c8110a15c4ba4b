//! The Gregorian calendar over days since 1970-01-01.
//!
//! The conversions are those of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013).

/// A calendar day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    /// From 1.
    pub(super) day: i64,
}

impl Date {
    /// The date of a number of days since 1970-01-01.
    #[inline]
    pub(super) fn from_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Date { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// Days since 1970-01-01.
    #[inline]
    pub(super) fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// The date with these parts, if there is one.
    pub(super) fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        let valid = (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
        valid.then_some(Date { year, month, day })
    }

    /// So many months later; the day is the month's last where it has fewer.
    pub(super) fn plus_months(self, months: i64) -> Option<Self> {
        let all = (self.year.checked_mul(12)?).checked_add(self.month - 1)?.checked_add(months)?;
        let (year, month) = (all.div_euclid(12), all.rem_euclid(12) + 1);
        Some(Date { year, month, day: self.day.min(days_of_month(year, month)) })
    }

    /// From 1.
    pub(super) fn day_of_year(self) -> i64 {
        self.days() - Date { month: 1, day: 1, ..self }.days() + 1
    }

    /// The week of ISO 8601, from 1: the one that has the year's first Thursday is the first.
    pub(super) fn iso_week(self) -> i64 {
        let days = self.days();
        let thursday = days - (iso_weekday(days) - 1) + 3;
        (Date::from_days(thursday).day_of_year() - 1) / 7 + 1
    }
}

/// Monday is 1, Sunday 7.
#[inline]
pub(super) fn iso_weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// The length of a month.
pub(super) fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::*;

    #[test]
    fn agrees_with_chrono() {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for days in (-1_000_000..1_000_000).step_by(97) {
            let expected = epoch + chrono::Duration::days(days);
            let date = Date::from_days(days);
            let parts = (date.year as i32, date.month as u32, date.day as u32);
            assert_eq!(parts, (expected.year(), expected.month(), expected.day()));
            assert_eq!(date.days(), days);
            assert_eq!(date.day_of_year() as u32, expected.ordinal());
            assert_eq!(date.iso_week() as u32, expected.iso_week().week());
            assert_eq!(iso_weekday(days) as u32, expected.weekday().number_from_monday());
        }
    }

    #[test]
    fn months_are_clamped_to_their_last_day() {
        let january = Date::new(2020, 1, 31).unwrap();
        assert_eq!(january.plus_months(1), Date::new(2020, 2, 29));
        assert_eq!(january.plus_months(-11), Date::new(2019, 2, 28));
        assert_eq!(Date::new(2021, 2, 29), None);
    }
}
