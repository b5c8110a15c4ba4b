//! The demo on the screen: a picture that is redrawn in place on a terminal, plain lines elsewhere.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Instant;

use comfy_table::{Table, presets};
use crossterm::{cursor, execute, terminal};
use fleuve_base::Result;
use fleuve_flow::runtime::Handle;
use serde_json::Value;

use super::feed::{Feed, Fresh, answering};
use crate::live::{clock_text, short};
use crate::output::{io_error, terminal_size};

/// Rows of each list at most.
const ROWS_MAX: usize = 6;

/// Lines of the picture that hold no row: the title, three headers, blank lines, the footer.
const LINES_WITHOUT_ROWS: usize = 10;

/// The demo's picture.
pub struct View {
    terminal: bool,
    speed: f64,
    latest: Vec<Value>,
    alerts: Vec<Value>,
    regions: BTreeMap<String, Region>,
    hours: u64,
    rate: (Instant, u64, f64),
    /// What is on the screen.
    picture: String,
}

#[derive(Default)]
struct Region {
    hour: String,
    last_hour: u64,
    total: u64,
    strongest: f64,
}

impl View {
    /// A view of a replay at some speed.
    pub fn new(speed: f64) -> Self {
        View {
            terminal: std::io::stdout().is_terminal(),
            speed,
            latest: vec![],
            alerts: vec![],
            regions: BTreeMap::new(),
            hours: 0,
            rate: (Instant::now(), 0, 0.0),
            picture: String::new(),
        }
    }

    /// Takes in what is new, and shows it.
    pub fn take(&mut self, fresh: Fresh, handles: &[Handle], feed: &Feed) -> Result<()> {
        let shown = match self.terminal {
            false => print_lines(&fresh),
            true => Ok(()),
        };
        shown.map_err(|e| io_error(&e))?;
        fresh.hourly.iter().for_each(|row| self.take_hour(row));
        keep_last(&mut self.latest, fresh.latest);
        keep_last(&mut self.alerts, fresh.alerts);
        self.measure(feed.ingested());
        match self.terminal {
            true => self.draw(handles, feed).map_err(|e| io_error(&e)),
            false => Ok(()),
        }
    }

    fn take_hour(&mut self, row: &Value) {
        self.hours += 1;
        let region = self.regions.entry(text(row, "region")).or_default();
        let count = row["quakes"].as_u64().unwrap_or(0);
        (region.hour, region.last_hour) = (text(row, "window_start"), count);
        region.total += count;
        region.strongest = region.strongest.max(row["strongest"].as_f64().unwrap_or(0.0));
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate to show")]
    fn measure(&mut self, ingested: u64) {
        let (since, before, _) = self.rate;
        let seconds = since.elapsed().as_secs_f64();
        if seconds >= 1.0 {
            self.rate = (Instant::now(), ingested, ingested.saturating_sub(before) as f64 / seconds);
        }
    }

    fn draw(&mut self, handles: &[Handle], feed: &Feed) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.picture.is_empty() {
            execute!(out, terminal::EnterAlternateScreen, cursor::Hide)?;
        }
        let (width, height) = terminal_size();
        self.picture = self.paint(handles, feed, width, height);
        execute!(out, cursor::MoveTo(0, 0))?;
        for line in self.picture.lines() {
            execute!(out, terminal::Clear(terminal::ClearType::CurrentLine))?;
            write!(out, "{line}\r\n")?;
        }
        execute!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        out.flush()
    }

    /// The picture, one line shorter than the terminal and no wider.
    fn paint(&self, handles: &[Handle], feed: &Feed, width: usize, height: usize) -> String {
        let rows = height.saturating_sub(LINES_WITHOUT_ROWS).max(3);
        let of_list = (rows / 4).clamp(1, ROWS_MAX);
        let mut text = format!("A week of earthquakes, {}x · Ctrl-C stops, starting again goes on\n\n", self.speed);
        let _ = writeln!(text, "{}\n", self.regions(rows - 2 * of_list));
        let mut latest = table(&["latest", "magnitude", "region", "place"]);
        for row in self.latest.iter().rev().take(of_list) {
            latest.add_row(["ts", "magnitude", "region", "place"].map(|name| self::text(row, name)));
        }
        let _ = writeln!(text, "{latest}\n");
        let mut alerts = table(&["alerts: magnitude 5 and more", "magnitude", "place"]);
        for row in self.alerts.iter().rev().take(of_list) {
            alerts.add_row(["ts", "magnitude", "place"].map(|name| self::text(row, name)));
        }
        let _ = writeln!(text, "{alerts}\n\n{}", self.footer(handles, feed));
        let fitted = text.lines().map(|line| line.trim_end().chars().take(width).chain(['\n']).collect::<String>());
        fitted.collect()
    }

    /// The regions with the most earthquakes.
    fn regions(&self, rows: usize) -> Table {
        let mut regions: Vec<_> = self.regions.iter().collect();
        regions.sort_by_key(|(name, region)| (Reverse(region.total), *name));
        let mut table = table(&["region", "last closed hour", "quakes", "so far", "strongest"]);
        for (name, region) in regions.into_iter().take(rows) {
            let numbers = [region.last_hour.to_string(), region.total.to_string(), format!("{:.1}", region.strongest)];
            table.add_row([&[name.clone(), region.hour.clone()], numbers.as_slice()].concat());
        }
        table
    }

    fn footer(&self, handles: &[Handle], feed: &Feed) -> String {
        let watermark = handles.iter().filter_map(|h| h.stats().watermark()).min();
        let watermark = watermark.map_or_else(|| "none yet".to_owned(), clock_text);
        let lag: u64 = answering(handles).flat_map(Handle::sources).filter_map(|(_, s)| s.lag()).sum();
        let late: u64 = handles.iter().map(|h| h.stats().total().late_rows).sum();
        let epochs: u64 = handles.iter().map(|h| h.stats().epoch.load(Ordering::Relaxed)).sum();
        format!(
            "{} earthquakes · {}/s · watermark {watermark} · lag {lag} · {late} late · {} hours closed · {epochs} epochs",
            feed.ingested(),
            short(self.rate.2),
            self.hours
        )
    }

    /// Gives the terminal back, with the last picture on it.
    pub fn finish(&mut self) -> Result<()> {
        if self.picture.is_empty() {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        execute!(out, terminal::LeaveAlternateScreen, cursor::Show).map_err(|e| io_error(&e))?;
        writeln!(out, "{}", self.picture).map_err(|e| io_error(&e))
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header.to_vec());
    table
}

fn keep_last(list: &mut Vec<Value>, fresh: Vec<Value>) {
    list.extend(fresh);
    list.drain(..list.len().saturating_sub(ROWS_MAX));
}

/// A field as text, strings without quotes.
fn text(row: &Value, name: &str) -> String {
    match &row[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn print_lines(fresh: &Fresh) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for row in &fresh.latest {
        writeln!(
            out,
            "{} quake  M{} {} ({})",
            text(row, "ts"),
            text(row, "magnitude"),
            text(row, "place"),
            text(row, "region")
        )?;
    }
    for row in &fresh.hourly {
        let (start, region) = (text(row, "window_start"), text(row, "region"));
        writeln!(
            out,
            "{start} hour   {region}: {} quakes, strongest M{}",
            text(row, "quakes"),
            text(row, "strongest")
        )?;
    }
    for row in &fresh.alerts {
        writeln!(out, "{} ALERT  M{} {}", text(row, "ts"), text(row, "magnitude"), text(row, "place"))?;
    }
    out.flush()
}
