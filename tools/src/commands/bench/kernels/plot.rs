//! Time against size, both logarithmic, as SVG.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Measured, Row};

const WIDTH: f64 = 960.0;
const PANEL: f64 = 300.0;
const MARGIN: f64 = 60.0;
/// Where the curves end and the names begin.
const RIGHT: f64 = 640.0;

/// Told apart also by people who do not see all colours (Okabe and Ito 2008).
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999"];

/// Size and wall time \[s\] of each point, by the curve's name.
type Curves = BTreeMap<String, Vec<(u32, f64)>>;

/// One panel for each kernel that was measured at two sizes at least, a curve for each library and number of threads.
pub fn svg(measured: &Measured) -> String {
    let mut panels: BTreeMap<&str, Curves> = BTreeMap::new();
    for row in &measured.rows {
        let Some(log_n) = row.log_n else { continue };
        for (name, wall_s) in curves(row) {
            panels.entry(row.kernel).or_default().entry(name).or_default().push((log_n, wall_s));
        }
    }
    panels.retain(|_, curves| curves.values().any(|points| points.len() > 1));
    let height = MARGIN + PANEL * panels.len().max(1) as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let machine = escaped(&format!("{}; Kiln uses {}", measured.machine, measured.instructions));
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">Wall time of a kernel on {machine}</text>"
    );
    for (at, (kernel, curves)) in panels.iter().enumerate() {
        panel(&mut out, MARGIN + PANEL * at as f64, kernel, curves);
    }
    out.push_str("</svg>\n");
    out
}

fn curves(row: &Row) -> impl Iterator<Item = (String, f64)> {
    let name = |library: &str| format!("{library}, {} thread(s)", row.threads);
    let ours = (name("Kiln"), row.ours.wall_s);
    let peers: Vec<_> = row.peers.iter().map(|peer| (name(peer.name), peer.time.wall_s)).collect();
    std::iter::once(ours).chain(peers)
}

fn panel(out: &mut String, top: f64, kernel: &str, curves: &Curves) {
    let all = || curves.values().flatten();
    let (least, most) = (all().map(|p| p.0).min().unwrap_or(0), all().map(|p| p.0).max().unwrap_or(1));
    let decades = |of: fn(f64, f64) -> f64, start: f64| all().map(|p| p.1.log10()).fold(start, of);
    let (low, high) = (decades(f64::min, 9.0).floor(), decades(f64::max, -12.0).ceil());
    let span = f64::from(most - least).max(1.0);
    let x = |log_n: u32| MARGIN + (RIGHT - MARGIN) * f64::from(log_n - least) / span;
    let bottom = top + PANEL - MARGIN;
    let y = |time_s: f64| bottom - (bottom - top - 20.0) * (time_s.log10() - low) / (high - low).max(1.0);
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"{}\" font-weight=\"bold\">{}</text>",
        top + 4.0,
        escaped(kernel)
    );
    for decade in low as i32..=high as i32 {
        let at = y(10f64.powi(decade));
        let _ = writeln!(out, "<path d=\"M{MARGIN} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            MARGIN - 6.0,
            at + 4.0,
            unit(decade)
        );
    }
    for log_n in least..=most {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">2^{log_n}</text>",
            x(log_n),
            bottom + 18.0
        );
    }
    for (at, (name, points)) in curves.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let mut points = points.clone();
        points.sort_by_key(|point| point.0);
        let line: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        for point in &points {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                x(point.0),
                y(point.1)
            );
        }
        let label = top + 24.0 + 18.0 * at as f64;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{label:.1}\" fill=\"{colour}\">{}</text>",
            RIGHT + 16.0,
            escaped(name)
        );
    }
}

/// A power of ten of seconds.
fn unit(decade: i32) -> String {
    match decade {
        ..=-7 => format!("{} ns", 10i64.pow((decade + 9).max(0) as u32)),
        -6..=-4 => format!("{} µs", 10i64.pow((decade + 6) as u32)),
        -3..=-1 => format!("{} ms", 10i64.pow((decade + 3) as u32)),
        _ => format!("{} s", 10i64.pow(decade.min(18) as u32)),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::kernels::{Group, Peer, Time};

    #[test]
    fn every_library_has_a_curve_with_a_point_for_each_size() {
        let time = |wall_s| Time { wall_s, cpu_s: wall_s };
        let row = |log_n, wall_s| Row {
            group: Group::Ntt,
            kernel: "NTT & <back>",
            log_n: Some(log_n),
            threads: 2,
            ours: time(wall_s),
            memory_bytes: None,
            floor: None,
            cycles: None,
            cycles_min: None,
            peers: vec![Peer { name: "other", time: time(2.0 * wall_s), ratio: 2.0 }],
        };
        let rows = vec![row(14, 1e-3), row(16, 4e-3), row(18, 2e-2)];
        let measured = Measured { machine: "m".into(), instructions: "i", clock_ghz: 1.0, runs: 1, rows };
        let svg = svg(&measured);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 6));
        assert!(
            svg.contains("NTT &amp; &lt;back&gt;") && svg.contains(">2^16<") && svg.ends_with("</svg>\n")
        );
    }
}
