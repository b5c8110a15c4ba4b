//! The live line below a running pipeline: rows, rate, watermark, lag, state; on standard error, and only on a terminal.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fleuve_flow::runtime::Handle;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// After so long without a row the line says why.
const SILENCE: Duration = Duration::from_secs(3);

/// Redraws a second.
const REDRAWS: u8 = 10;

/// The line.
pub struct Live {
    bar: ProgressBar,
    started: Instant,
    last: (Instant, u64),
    rate: f64,
}

impl Live {
    /// A line on standard error; invisible if that is no terminal.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS));
        let now = Instant::now();
        Live { bar, started: now, last: (now, 0), rate: 0.0 }
    }

    /// Prints to standard output with the line out of the way.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }

    /// Draws the line anew from the counters of running pipelines.
    pub fn draw(&mut self, handles: &[&Handle]) {
        let rows: u64 = handles.iter().map(|h| h.stats().rows_in.load(Ordering::Relaxed)).sum();
        let elapsed = self.last.0.elapsed().as_secs_f64();
        if elapsed >= 0.5 {
            #[allow(clippy::cast_precision_loss, reason = "a rate to show")]
            let fresh = rows.saturating_sub(self.last.1) as f64 / elapsed;
            self.rate = if self.rate == 0.0 { fresh } else { 0.5 * self.rate + 0.5 * fresh };
            self.last = (Instant::now(), rows);
        }
        match progress(handles) {
            Some((done, all)) => self.draw_bar(done, all),
            None => self.bar.set_style(style("{msg}")),
        }
        self.bar.set_message(self.message(handles, rows));
        self.bar.tick();
    }

    fn draw_bar(&self, done: u64, all: u64) {
        self.bar.set_style(style("{bar:24} {percent:>3} %  {msg}"));
        self.bar.set_length(all);
        self.bar.set_position(done);
    }

    fn message(&self, handles: &[&Handle], rows: u64) -> String {
        let out: u64 = handles.iter().map(|h| h.stats().rows_out.load(Ordering::Relaxed)).sum();
        let mut text = format!("{} rows · {}/s · {} out", HumanCount(rows), short(self.rate), HumanCount(out));
        if let Some(watermark) = handles.iter().filter_map(|h| h.stats().watermark()).min() {
            let _ = write!(text, " · watermark {}", clock_text(watermark));
        }
        let totals = handles.iter().map(|h| h.stats().total());
        let (late, state) = totals.fold((0, 0), |(l, s), t| (l + t.late_rows, s + t.state_bytes));
        let bad: u64 = handles.iter().map(|h| h.stats().bad_records.load(Ordering::Relaxed)).sum();
        let _ = write!(text, " · {late} late · state {}", HumanBytes(state as u64));
        if bad > 0 {
            let _ = write!(text, " · {bad} bad records");
        }
        if out == 0 && self.started.elapsed() > SILENCE {
            text.push_str(" · ");
            text.push_str(&silence(handles, rows));
        }
        text
    }

    /// Removes the line.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("█▉░")
}

/// How far bounded sources are together; `None` if any has no end.
fn progress(handles: &[&Handle]) -> Option<(u64, u64)> {
    let sources = handles.iter().flat_map(|h| h.sources());
    let parts = sources.map(|(_, source)| source.progress()).collect::<Option<Vec<_>>>()?;
    let (done, all) = parts.iter().fold((0, 0), |(d, a), (done, all)| (d + done, a + all));
    (all > 0).then_some((done, all))
}

/// Why nothing has come out.
fn silence(handles: &[&Handle], rows: u64) -> String {
    if rows == 0 {
        return "no input yet".to_owned();
    }
    match handles.iter().filter_map(|h| h.stats().watermark()).min() {
        Some(watermark) => format!(
            "no rows out: a window closes when the watermark passes its end; the watermark is {} (a silent source holds it \
             back: SET 'table.exec.source.idle-timeout' = '5 s')",
            clock_text(watermark)
        ),
        None => "no rows out yet".to_owned(),
    }
}

/// A watermark as a clock shows it.
pub fn clock_text(watermark_ms: i64) -> String {
    if watermark_ms == i64::MAX {
        return "end".to_owned();
    }
    let options = crate::output::cell_options();
    let array = arrow::array::TimestampMillisecondArray::from(vec![watermark_ms]);
    match arrow::util::display::ArrayFormatter::try_new(&array, &options) {
        Ok(formatter) => formatter.value(0).to_string(),
        Err(_) => watermark_ms.to_string(),
    }
}

/// A number with at most four characters: 950, 12.4k, 3.1M.
pub fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.1}M", v / 1e6),
        v if v >= 1e3 => format!("{:.1}k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_short() {
        assert_eq!((short(950.0), short(12_400.0), short(3_100_000.0)), ("950".into(), "12.4k".into(), "3.1M".into()));
    }

    #[test]
    fn watermarks_read_as_times() {
        assert_eq!(clock_text(0), "1970-01-01 00:00:00.000");
        assert_eq!(clock_text(i64::MAX), "end");
    }
}
