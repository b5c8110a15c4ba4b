//! The arithmetic of windows: which slide a time falls into, and which windows a watermark closes.
//!
//! All times are milliseconds. A TUMBLE is a HOP whose slide is its size. Windows start at multiples of the slide (plus
//! the offset), so between two starts all rows share their windows: such a *pane* is what is aggregated. Arithmetic
//! saturates: times at the ends of the range fall into the outermost windows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, TimestampMillisecondArray};
use arrow::compute::unary;
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use fleuve_base::{Error, Result};
use fleuve_plan::Window;

/// Windows a row of a HOP may fall into.
pub const WINDOWS_PER_ROW_MAX: i64 = 100_000;

/// Windows of one size that start at every slide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slides {
    /// Length of a window.
    pub size_ms: i64,
    /// Distance between starts; divides the size.
    pub slide_ms: i64,
    /// Shift of the starts.
    pub offset_ms: i64,
}

impl Slides {
    /// From a plan's window.
    ///
    /// # Errors
    /// For sessions, and for sizes that are not positive or no multiple of the slide.
    pub fn new(window: &Window) -> Result<Self> {
        let slides = match *window {
            Window::Tumble { size_ms, offset_ms } => Slides { size_ms, slide_ms: size_ms, offset_ms },
            Window::Hop { size_ms, slide_ms, offset_ms } => Slides { size_ms, slide_ms, offset_ms },
            Window::Session { .. } => return Err(Error::internal("sessions have no fixed size")),
        };
        let valid = slides.slide_ms > 0 && slides.size_ms > 0 && slides.size_ms % slides.slide_ms == 0;
        if !valid {
            return Err(Error::input("E204", "the size of a window must be a positive multiple of its slide")
                .with_detail(format!("size {} ms, slide {} ms", slides.size_ms, slides.slide_ms)));
        }
        if slides.size_ms / slides.slide_ms > WINDOWS_PER_ROW_MAX {
            return Err(Error::input("E204", "the windows overlap too much")
                .with_detail(format!("a row may fall into at most {WINDOWS_PER_ROW_MAX} windows")));
        }
        Ok(slides)
    }

    /// Start of the last window that holds a time, which is the start of its pane.
    #[inline]
    pub fn pane(&self, time_ms: i64) -> i64 {
        let shifted = time_ms.saturating_sub(self.offset_ms);
        let start = shifted.saturating_sub(shifted.rem_euclid(self.slide_ms));
        start.saturating_add(self.offset_ms)
    }

    /// The end of the window that starts there.
    #[inline]
    pub fn end(&self, start_ms: i64) -> i64 {
        start_ms.saturating_add(self.size_ms)
    }

    /// Start of the first window that a watermark leaves open: windows whose `end - 1` it has reached are closed. Rows
    /// before it are late. The lowest value if all windows are open.
    pub fn first_open(&self, watermark: i64) -> i64 {
        if watermark < i64::MIN.saturating_add(self.size_ms).saturating_add(self.slide_ms) {
            return i64::MIN;
        }
        // The least start with start + size - 1 > watermark.
        let least = watermark.saturating_sub(self.size_ms).saturating_add(2);
        let pane = self.pane(least);
        if pane < least { pane.saturating_add(self.slide_ms) } else { pane }
    }

    /// The number of windows that hold a row.
    pub fn windows_per_row(&self) -> usize {
        (self.size_ms / self.slide_ms) as usize
    }
}

/// Whether a column type can be a time.
pub fn check_time(data_type: &DataType) -> Result<()> {
    match data_type {
        DataType::Timestamp(..) => Ok(()),
        other => Err(Error::internal(format!("a window's time has type {other}, which is no TIMESTAMP"))),
    }
}

/// A timestamp column in milliseconds, rounded down; NULLs stay.
pub fn milliseconds(column: &ArrayRef) -> Result<Int64Array> {
    let DataType::Timestamp(unit, _) = column.data_type() else {
        check_time(column.data_type())?;
        return Err(Error::internal("a timestamp has a unit"));
    };
    Ok(match unit {
        TimeUnit::Second => unary(column.as_primitive::<TimestampSecondType>(), |v| v.saturating_mul(1000)),
        TimeUnit::Millisecond => {
            let column = column.as_primitive::<TimestampMillisecondType>();
            Int64Array::new(column.values().clone(), column.nulls().cloned())
        }
        TimeUnit::Microsecond => unary(column.as_primitive::<TimestampMicrosecondType>(), |v| v.div_euclid(1000)),
        TimeUnit::Nanosecond => unary(column.as_primitive::<TimestampNanosecondType>(), |v| v.div_euclid(1_000_000)),
    })
}

/// A column of times in milliseconds, as a timestamp type in milliseconds.
pub fn timestamps(times_ms: Vec<i64>, data_type: &DataType) -> Result<ArrayRef> {
    match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            Ok(Arc::new(TimestampMillisecondArray::from(times_ms).with_timezone_opt(zone.clone())))
        }
        other => Err(Error::internal(format!("a window's bound has type {other}, not TIMESTAMP(3)"))),
    }
}

/// The three columns that describe windows: start, end, and the last millisecond within.
pub fn window_columns(starts: Vec<i64>, ends: Vec<i64>, types: [&DataType; 3]) -> Result<[ArrayRef; 3]> {
    let times = ends.iter().map(|end| end.saturating_sub(1)).collect();
    Ok([timestamps(starts, types[0])?, timestamps(ends, types[1])?, timestamps(times, types[2])?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(size_ms: i64, slide_ms: i64, offset_ms: i64) -> Slides {
        Slides::new(&Window::Hop { size_ms, slide_ms, offset_ms }).unwrap()
    }

    #[test]
    fn panes_before_1970_and_with_offsets() {
        assert_eq!([-1, 0, 1999, 2000].map(|t| hop(10_000, 2000, 0).pane(t)), [-2000, 0, 0, 2000]);
        assert_eq!([-1, 499, 500].map(|t| hop(1000, 1000, 500).pane(t)), [-500, -500, 500]);
        assert_eq!([0, -1].map(|t| hop(1000, 1000, -300).pane(t)), [-300, -300]);
    }

    #[test]
    fn the_first_open_window() {
        let tumble = hop(10, 10, 0);
        assert_eq!([8, 9, 18, 19].map(|w| tumble.first_open(w)), [0, 10, 10, 20]);
        assert_eq!([-2, -1, 7, 8, 9].map(|w| hop(10, 2, 0).first_open(w)), [-10, -8, 0, 0, 2].map(|s: i64| s));
        for slides in [hop(10, 2, 1), hop(9, 3, -2), hop(5, 5, 3)] {
            for watermark in -40..40 {
                let open = slides.first_open(watermark);
                assert_eq!(slides.pane(open), open, "aligned");
                assert!(slides.end(open) - 1 > watermark && slides.end(open) - 1 - slides.slide_ms <= watermark);
            }
        }
    }

    #[test]
    fn the_ends_of_time() {
        let slides = hop(10, 2, 1);
        assert_eq!(slides.first_open(i64::MIN), i64::MIN);
        assert!(slides.first_open(i64::MAX) > i64::MAX - 12);
        assert!(slides.pane(i64::MAX) > i64::MAX - 4 && slides.pane(i64::MIN) < i64::MIN + 4);
    }

    #[test]
    fn impossible_windows_are_refused() {
        for (size_ms, slide_ms) in [(0, 1), (10, 3), (10, 0), (-4, 2), (1 << 40, 1)] {
            assert_eq!(Slides::new(&Window::Hop { size_ms, slide_ms, offset_ms: 0 }).unwrap_err().code(), "E204");
        }
    }
}
