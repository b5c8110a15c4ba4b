//! Charts as SVG: a frame with axes, and lines, bands and bars in it.

use std::fmt::Write as _;

/// A frame and the space around it, in pixels.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 34.0;
const BELOW: f64 = 60.0;
const RIGHT: f64 = 20.0;

/// Labels along an axis, about.
const TICKS: f64 = 5.0;

/// Colours that the colour-blind can tell apart (Okabe, Ito 2008).
pub(super) const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000"];

/// The least and the greatest number along an axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Axis {
    fn share(self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Round numbers along it.
    fn ticks(self) -> Vec<f64> {
        let raw = (self.high - self.low) / TICKS;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= raw).unwrap_or(raw);
        let first = (self.low / step).ceil();
        let ticks = (0..20).map(|n| (first + f64::from(n)) * step);
        ticks.take_while(|tick| *tick <= self.high + 1e-9 * step).collect()
    }
}

/// A chart being drawn.
pub(super) struct Chart {
    x: Axis,
    y: Axis,
    svg: String,
    legend: Vec<(String, &'static str)>,
}

impl Chart {
    /// An empty frame.
    pub(super) fn new(title: &str, x: (&str, Axis), y: (&str, Axis)) -> Self {
        let mut svg = format!(
            "<text x=\"{}\" y=\"-14\" text-anchor=\"middle\" font-size=\"13\">{title}</text>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(-50 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
            WIDTH / 2.0,
            WIDTH / 2.0,
            HEIGHT + 32.0,
            x.0,
            HEIGHT / 2.0,
            y.0
        );
        let (x, y) = (x.1, y.1);
        for tick in x.ticks() {
            let at = x.share(tick) * WIDTH;
            let label = HEIGHT + 16.0;
            let _ = writeln!(svg, "<path d=\"M{at:.1} 0V{HEIGHT}\" stroke=\"#eee\"/>");
            let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{label}\" text-anchor=\"middle\">{}</text>", short(tick));
        }
        for tick in y.ticks() {
            let at = (1.0 - y.share(tick)) * HEIGHT;
            let _ = writeln!(svg, "<path d=\"M0 {at:.1}H{WIDTH}\" stroke=\"#eee\"/>");
            let _ = writeln!(svg, "<text x=\"-6\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", at + 4.0, short(tick));
        }
        Chart { x, y, svg, legend: vec![] }
    }

    fn place(&self, (x, y): (f64, f64)) -> String {
        format!("{:.1} {:.1}", self.x.share(x) * WIDTH, (1.0 - self.y.share(y)) * HEIGHT)
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let places: Vec<String> = points.map(|point| self.place(point)).collect();
        format!("M{}", places.join("L"))
    }

    /// A line through points; without a name it is not in the legend.
    pub(super) fn line(&mut self, name: &str, colour: &'static str, points: &[(f64, f64)]) {
        let path = self.path(points.iter().copied());
        let _ = writeln!(self.svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>");
        if !name.is_empty() {
            self.legend.push((name.to_owned(), colour));
        }
    }

    /// What lies between two ends, by (x, low, high).
    pub(super) fn band(&mut self, name: &str, colour: &'static str, points: &[(f64, f64, f64)]) {
        let there = points.iter().map(|(x, low, _)| (*x, *low));
        let back = points.iter().rev().map(|(x, _, high)| (*x, *high));
        let path = self.path(there.chain(back));
        let _ = writeln!(self.svg, "<path d=\"{path}Z\" fill=\"{colour}\" fill-opacity=\"0.25\"/>");
        self.legend.push((name.to_owned(), colour));
    }

    /// Bars from the bottom, by (left, right, top).
    pub(super) fn bars(&mut self, colour: &'static str, bars: &[(f64, f64, f64)]) {
        for (left, right, top) in bars {
            let corners = [(*left, self.y.low), (*left, *top), (*right, *top), (*right, self.y.low)];
            let path = self.path(corners.into_iter());
            let _ = writeln!(
                self.svg,
                "<path d=\"{path}Z\" fill=\"{colour}\" fill-opacity=\"0.5\" stroke=\"{colour}\" stroke-width=\"0.5\"/>"
            );
        }
    }

    /// The charts below each other, as one picture.
    pub(super) fn picture(charts: &[Chart]) -> String {
        let height = TOP + HEIGHT + BELOW;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" \
             font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            LEFT + WIDTH + RIGHT,
            height * charts.len() as f64
        );
        for (nth, chart) in charts.iter().enumerate() {
            let _ = writeln!(svg, "<g transform=\"translate({LEFT} {})\">", TOP + nth as f64 * height);
            svg += &chart.svg;
            let step = (WIDTH / chart.legend.len() as f64).min(130.0);
            for (nth, (name, colour)) in chart.legend.iter().enumerate() {
                let (x, y) = (nth as f64 * step, HEIGHT + 50.0);
                let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{}\" r=\"4\" fill=\"{colour}\"/>", y - 4.0);
                let _ = writeln!(svg, "<text x=\"{}\" y=\"{y}\">{name}</text>", x + 8.0);
            }
            svg += "</g>\n";
        }
        svg + "</svg>\n"
    }
}

/// A number without digits that say nothing.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_points_lie_where_they_belong() {
        assert_eq!(Axis { low: 0.0, high: 1.0 }.ticks(), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        let axis = Axis { low: 0.0, high: 10.0 };
        let mut chart = Chart::new("t", ("x", axis), ("y", axis));
        chart.line("l", COLOURS[0], &[(0.0, 0.0), (10.0, 10.0)]);
        assert!(Chart::picture(&[chart]).contains("<path d=\"M0.0 240.0L520.0 0.0\" fill=\"none\""));
    }
}
