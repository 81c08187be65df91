//! Parts of a date, in UTC, of a time in seconds since the Unix epoch.

use super::EvalError;
use crate::expr::DatePart;

const DAY: i64 = 24 * 60 * 60;

/// Beyond this, some 30 million years, there are no dates: what Prometheus answers then depends
/// on the machine it runs on.
const FARTHEST: f64 = 1e15;

/// A fraction of a second is cut off towards zero, as Prometheus does.
pub(super) fn part(part: DatePart, seconds: f64) -> Result<f64, EvalError> {
    if seconds.is_nan() || seconds.abs() > FARTHEST {
        return Err(EvalError::NoDate(seconds));
    }
    #[allow(clippy::cast_possible_truncation)] // bounded above
    let seconds = seconds.trunc() as i64;
    let days = seconds.div_euclid(DAY);
    let of_day = seconds.rem_euclid(DAY);
    let date = Date::of(days);
    let value = match part {
        DatePart::Year => date.year,
        DatePart::Month => date.month,
        DatePart::DayOfMonth => date.day,
        // The epoch was a Thursday; Sunday is 0.
        DatePart::DayOfWeek => (days + 4).rem_euclid(7),
        DatePart::DayOfYear => days - first_of_year(date.year) + 1,
        DatePart::DaysInMonth => days_in_month(date.year, date.month),
        DatePart::Hour => of_day / 3600,
        DatePart::Minute => of_day / 60 % 60,
    };
    #[allow(clippy::cast_precision_loss)] // a year has at most 8 digits
    Ok(value as f64)
}

struct Date {
    year: i64,
    /// From 1.
    month: i64,
    /// From 1.
    day: i64,
}

impl Date {
    /// Of a number of days since 1970-01-01.
    fn of(days: i64) -> Self {
        // 146,097 days are 400 years: the guess is off by a year at most.
        let mut year = 1970 + (days * 400).div_euclid(146_097);
        while first_of_year(year) > days {
            year -= 1;
        }
        while first_of_year(year + 1) <= days {
            year += 1;
        }
        let mut day = days - first_of_year(year) + 1;
        let mut month = 1;
        while day > days_in_month(year, month) {
            day -= days_in_month(year, month);
            month += 1;
        }
        Self { year, month, day }
    }
}

/// The days from 1970-01-01 to the first of January.
fn first_of_year(year: i64) -> i64 {
    let before = year - 1;
    let leap_days =
        before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400) - (492 - 19 + 4);
    (year - 1970) * 365 + leap_days
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(seconds: f64) -> [f64; 3] {
        [DatePart::Year, DatePart::Month, DatePart::DayOfMonth].map(|of| part(of, seconds).unwrap())
    }

    #[test]
    fn a_date_is_right_at_the_edges_of_days_and_years_before_the_epoch_too() {
        assert_eq!(date(0.0), [1970.0, 1.0, 1.0]);
        assert_eq!(date(-1.0), [1969.0, 12.0, 31.0]);
        assert_eq!(date(-0.9), [1970.0, 1.0, 1.0], "cut off towards zero");
        assert_eq!(date(951_782_400.0), [2000.0, 2.0, 29.0]);
        assert_eq!(
            date(4_107_542_400.0),
            [2100.0, 3.0, 1.0],
            "2100 has no leap day"
        );
        assert_eq!(date(-62_135_596_800.0), [1.0, 1.0, 1.0]);
        assert_eq!(part(DatePart::DayOfWeek, -1.0), Ok(3.0));
        assert_eq!(part(DatePart::DayOfYear, 1_735_603_200.0), Ok(366.0));
        assert_eq!(part(DatePart::Minute, -60.0), Ok(59.0));
    }

    #[test]
    fn what_is_no_time_has_no_date() {
        for seconds in [f64::NAN, f64::INFINITY, -1e300] {
            assert!(part(DatePart::Hour, seconds).is_err(), "{seconds}");
        }
    }
}
