//! The error against the memory, both by their logarithms, as SVG: a panel for each number of items.

use super::point::Point;

/// Where the axes end, as powers of ten: bytes, and relative errors.
const BYTES: (f64, f64) = (1.0, 9.0);
const ERRORS: (f64, f64) = (-4.0, 1.0);

/// A panel and the space around it, in pixels.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 54.0;
const TOP: f64 = 30.0;
const BELOW: f64 = 74.0;

/// The families of counters, as their names begin, with a colour that the colour-blind can tell from the others (Okabe, Ito 2008).
const FAMILIES: [(&str, &str); 5] = [
    ("AMS_F0", "#d55e00"),
    ("BJKST", "#0072b2"),
    ("HyperLogLog", "#009e73"),
    ("Theta", "#cc79a7"),
    ("exact", "#000000"),
];

/// Draws all points.
pub(super) fn draw(points: &[Point]) -> String {
    let mut sizes: Vec<u64> = points.iter().map(|point| point.items).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let width = LEFT + sizes.len() as f64 * (WIDTH + LEFT);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        TOP + HEIGHT + BELOW
    );
    for (nth, size) in sizes.iter().enumerate() {
        svg += &format!("<g transform=\"translate({} {TOP})\">\n", LEFT + nth as f64 * (WIDTH + LEFT));
        svg += &panel(*size);
        for (family, colour) in FAMILIES {
            let own = points.iter().filter(|point| point.items == *size && point.counter.starts_with(family));
            svg += &line(&own.collect::<Vec<_>>(), colour);
        }
        svg += "</g>\n";
    }
    svg + &legend() + "</svg>\n"
}

fn x(bytes: f64) -> f64 {
    (bytes.log10() - BYTES.0) / (BYTES.1 - BYTES.0) * WIDTH
}

/// An error below the axis is drawn at its end.
fn y(error: f64) -> f64 {
    let log = error.log10().clamp(ERRORS.0, ERRORS.1);
    (ERRORS.1 - log) / (ERRORS.1 - ERRORS.0) * HEIGHT
}

/// The frame, its grid and its labels.
fn panel(items: u64) -> String {
    let mut svg = format!(
        "<text x=\"{}\" y=\"-10\" text-anchor=\"middle\" font-size=\"13\">{} distinct items</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">bytes</text>\n",
        WIDTH / 2.0,
        super::grouped(items),
        WIDTH / 2.0,
        HEIGHT + 32.0
    );
    for power in BYTES.0 as i32..=BYTES.1 as i32 {
        let at = x(10f64.powi(power));
        svg += &format!("<path d=\"M{at:.1} 0V{HEIGHT}\" stroke=\"#ddd\"/>\n");
        if power % 2 == 1 {
            svg +=
                &format!("<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", HEIGHT + 16.0, unit(power));
        }
    }
    for power in ERRORS.0 as i32..=ERRORS.1 as i32 {
        let at = y(10f64.powi(power));
        let label =
            if power == ERRORS.0 as i32 { "≤ 0.01 %".to_owned() } else { format!("{} %", 10f64.powi(power + 2)) };
        svg += &format!(
            "<path d=\"M0 {at:.1}H{WIDTH}\" stroke=\"#ddd\"/>\n\
             <text x=\"-4\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
            at + 4.0
        );
    }
    svg
}

/// A power of ten in bytes.
fn unit(power: i32) -> String {
    let name = ["", " kB", " MB", " GB"][(power / 3) as usize];
    format!("{}{name}", 10u32.pow((power % 3) as u32))
}

/// The points of a family, joined in the order of their bytes.
fn line(points: &[&Point], colour: &str) -> String {
    let mut places: Vec<(f64, f64)> = points.iter().map(|point| (x(point.bytes as f64), y(point.most))).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let mut svg = format!("<path d=\"M{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n", path.join("L"));
    for (x, y) in places {
        svg += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>\n");
    }
    svg
}

fn legend() -> String {
    let entry = |(nth, (family, colour)): (usize, (&str, &str))| {
        let (x, y) = (LEFT + 110.0 * nth as f64, TOP + HEIGHT + BELOW - 18.0);
        let name = if family == "exact" { "exact set" } else { family };
        format!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/><text x=\"{}\" y=\"{}\">{name}</text>\n",
            x + 8.0,
            y + 4.0
        )
    };
    FAMILIES.into_iter().enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::{Point, draw};

    #[test]
    fn points_lie_by_their_logarithms() {
        let point =
            |items, bytes, most| Point { counter: "BJKST, error 0.1".to_owned(), items, bytes, median: 0.0, most };
        let svg = draw(&[point(1000, 10, 10.0), point(1000, 1_000_000_000, 0.0)]);
        assert!(svg.contains("<path d=\"M0.0 0.0L300.0 260.0\" fill=\"none\" stroke=\"#0072b2\""), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2 + super::FAMILIES.len());
    }
}
