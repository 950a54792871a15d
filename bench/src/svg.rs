//! The load curve: how many knocks get through, and how soon, while more and more is thrown at
//! each server. Drawn by hand: two panels, a line for each server.

use std::fmt::Write as _;

use crate::flood::Flood;

/// One measurement of a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// Packets a second that arrived.
    pub(crate) rate: f64,
    /// Percent of knocks that ran.
    pub(crate) ran: f64,
    /// Milliseconds, if any ran.
    pub(crate) p99: Option<f64>,
}

/// What was measured of a server, by rising rate.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// The floods of the kinds that all servers were flooded with, as lines; the forged ones are the
/// dearest to refuse.
pub(crate) fn series(floods: &[Flood]) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for flood in floods.iter().filter(|flood| flood.kind == "forged" && !flood.shared_link) {
        let point = Point {
            rate: flood.achieved,
            ran: 100.0 * flood.knocks.ran as f64 / flood.knocks.sent as f64,
            p99: flood.knocks.latency_ms.map(|latency| latency.p99),
        };
        match all.iter_mut().find(|series| series.name == flood.peer) {
            Some(series) => series.points.push(point),
            None => all.push(Series { name: flood.peer.to_owned(), points: vec![point] }),
        }
    }
    for series in &mut all {
        series.points.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    }
    all
}

const WIDTH: f64 = 640.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const PANEL: f64 = 160.0;
const TOPS: [f64; 2] = [60.0, 280.0];
const HEIGHT: f64 = 490.0;

/// Packets a second at the ends of both horizontal axes.
const RATES: [f64; 2] = [1e4, 2e7];

/// Seen on black as on white, and told apart by those who see no red.
const COLOURS: [&str; 4] = ["#2f81f7", "#d9822b", "#3fa45b", "#a371f7"];
const MARKS: [&str; 4] = ["circle", "square", "diamond", "circle"];

/// Draws them.
pub(crate) fn draw(series: &[Series]) -> String {
    let slowest = series.iter().flat_map(|series| &series.points).filter_map(|point| point.p99);
    let slowest = slowest.fold(10.0, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#808890\">\n\
         <title>Knocks during floods of forged packets</title>\n"
    );
    let shares = Axis { top: TOPS[0], low: 0.0, high: 100.0, logarithmic: false };
    let times = Axis {
        top: TOPS[1],
        low: 0.1,
        high: 10_f64.powf(slowest.log10().ceil()),
        logarithmic: true,
    };
    shares.draw(&mut svg, "knocks that ran, %", &[0.0, 25.0, 50.0, 75.0, 100.0]);
    times.draw(&mut svg, "p99 from send to command start, ms", &times.decades());
    for (place, series) in series.iter().enumerate() {
        let (colour, mark) = (COLOURS[place % COLOURS.len()], MARKS[place % MARKS.len()]);
        let (x, y) = (LEFT + 190.0 * place as f64, 24.0);
        symbol(&mut svg, mark, colour, x, y - 4.0);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{y}\">{}</text>", x + 10.0, escape(&series.name));
        let ran = series.points.iter().map(|point| (point.rate, Some(point.ran)));
        line(&mut svg, &shares, mark, colour, ran);
        let slow = series.points.iter().map(|point| (point.rate, point.p99));
        line(&mut svg, &times, mark, colour, slow);
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">forged packets a second that arrived</text>",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        HEIGHT - 8.0
    );
    svg + "</svg>\n"
}

/// The vertical axis of a panel.
struct Axis {
    top: f64,
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    fn y(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let share = if self.logarithmic {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.top + PANEL * (1.0 - share)
    }

    /// Powers of ten from end to end.
    fn decades(&self) -> Vec<f64> {
        let first = self.low.log10().round() as i32;
        let last = self.high.log10().round() as i32;
        (first..=last).map(|power| 10_f64.powi(power)).collect()
    }

    fn draw(&self, svg: &mut String, title: &str, ticks: &[f64]) {
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\">{title}</text>", self.top - 10.0);
        let (left, right) = (LEFT, WIDTH - RIGHT);
        for tick in ticks {
            let y = self.y(*tick);
            let _ = writeln!(
                svg,
                "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#808890\" stroke-opacity=\".35\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
                left - 8.0,
                y + 4.0
            );
        }
        for (place, power) in (4..=7).enumerate() {
            let rate = 10_f64.powi(power);
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {}V{}\" stroke=\"#808890\" stroke-opacity=\".35\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                self.top,
                self.top + PANEL,
                self.top + PANEL + 18.0,
                ["10 k", "100 k", "1 M", "10 M"][place],
                x = x(rate)
            );
        }
    }
}

fn x(rate: f64) -> f64 {
    let [low, high] = RATES;
    let share = (rate.clamp(low, high) / low).log10() / (high / low).log10();
    LEFT + (WIDTH - LEFT - RIGHT) * share
}

/// What was not measured breaks the line.
fn line(
    svg: &mut String,
    axis: &Axis,
    mark: &str,
    colour: &str,
    values: impl Iterator<Item = (f64, Option<f64>)>,
) {
    let mut path = String::new();
    let mut pen_down = false;
    for (rate, value) in values {
        let Some(value) = value else {
            pen_down = false;
            continue;
        };
        let (x, y) = (x(rate), axis.y(value));
        let _ = write!(path, "{}{x:.1} {y:.1}", if pen_down { "L" } else { "M" });
        pen_down = true;
        symbol(svg, mark, colour, x, y);
    }
    let _ =
        writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
}

fn symbol(svg: &mut String, mark: &str, colour: &str, x: f64, y: f64) {
    let _ = match mark {
        "square" => writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\" fill=\"{colour}\"/>",
            x - 4.0,
            y - 4.0
        ),
        "diamond" => {
            writeln!(svg, "<path d=\"M{x:.1} {:.1}l5 5l-5 5l-5-5z\" fill=\"{colour}\"/>", y - 5.0)
        }
        _ => writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"),
    };
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(rate: f64, ran: f64, p99: Option<f64>) -> Point {
        Point { rate, ran, p99 }
    }

    #[test]
    fn rates_are_drawn_by_their_logarithm() {
        assert_eq!(x(1e4), LEFT);
        assert_eq!(x(2e7), WIDTH - RIGHT);
        let step = x(1e5) - x(1e4);
        assert!((x(1e6) - x(1e5) - step).abs() < 1e-9);
        assert_eq!(x(1.0), LEFT, "what is outside is drawn at the edge");
    }

    #[test]
    fn a_drawing_is_well_formed_and_has_a_line_for_each_server_and_panel() {
        let points = vec![point(1e4, 100.0, Some(3.0)), point(1e6, 0.0, None)];
        let names = ["one", "two & <three>"].map(str::to_owned);
        let svg = draw(&names.map(|name| Series { name, points: points.clone() }));
        assert_eq!(svg.matches("stroke-width").count(), 4);
        assert!(svg.contains("two &amp; &lt;three>"), "{svg}");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_server_that_nobody_got_through_to_has_no_time() {
        let svg = draw(&[Series { name: String::new(), points: vec![point(1e5, 0.0, None)] }]);
        assert_eq!(
            svg.matches("<circle").count(),
            2,
            "one in the legend, one for the share: {svg}"
        );
    }
}
