//! The picture of how long a listing takes, over the number of jails.

use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

use crate::list;

/// GitHub shows a page's text about this wide.
const SIZE: (u32, u32) = (830, 470);
const FONT: &str = "sans-serif";

/// A colour on a light page and on a dark one.
struct Colour(RGBColor, &'static str);

const PAPER: Colour = Colour(RGBColor(255, 255, 255), "#0d1117");
const TEXT: Colour = Colour(RGBColor(31, 35, 40), "#e6edf3");
const GRID: Colour = Colour(RGBColor(216, 222, 228), "#30363d");
const FLOOR: Colour = Colour(RGBColor(110, 119, 129), "#9198a1");
const COLD: Colour = Colour(RGBColor(9, 105, 218), "#58a6ff");
const WARM: Colour = Colour(RGBColor(26, 127, 55), "#3fb950");
const IOCAGE: Colour = Colour(RGBColor(188, 76, 0), "#f0883e");
const COLOURS: [Colour; 7] = [PAPER, TEXT, GRID, FLOOR, COLD, WARM, IOCAGE];

/// What `listjails` took without snapshots: the number of jails, and milliseconds by their key.
pub fn points(report: &Value, key: &str) -> Vec<(f64, f64)> {
    let rows = list(report, "listing").iter();
    let rows = rows.filter(|row| row["action"] == "listjails" && row["snapshots"] == 0);
    rows.map(|row| (number(&row["jails"]), number(&row[key])))
        .collect()
}

/// What `iocage list -lh` took, where it was measured.
fn of_iocage(report: &Value) -> Vec<(f64, f64)> {
    let rows = list(report, "iocage").iter();
    rows.map(|row| (number(&row["jails"]), number(&row["list_ms"])))
        .collect()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

pub fn picture(report: &Value) -> String {
    let mut svg = String::new();
    draw(report, &mut svg).expect("a text can be drawn into");
    let (head, rest) = svg.split_once(">\n").expect("it begins with a tag");
    format!("{head}>\n{}{}{rest}", told(report), in_the_dark())
}

fn draw(report: &Value, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let (cold, warm) = (points(report, "cold_ms"), points(report, "warm_ms"));
    let sizes: Vec<f64> = warm.iter().map(|(jails, _)| *jails).collect();
    let (first, last) = (sizes[0], *sizes.last().unwrap());

    let paper = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    paper.fill(&PAPER.0)?;
    let text = |size: i32| (FONT, size).into_font().color(&TEXT.0);
    // Room to the right for the names of the lines.
    let mut chart = ChartBuilder::on(&paper)
        .caption("How long it takes to list all jails", text(22))
        .margin(14)
        .margin_right(215)
        .x_label_area_size(52)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (first * 0.9..last * 1.05)
                .log_scale()
                .with_key_points(sizes.clone()),
            (4.0..40_000.0)
                .log_scale()
                .with_key_points(vec![10.0, 100.0, 1000.0, 10_000.0]),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.0)
        .axis_style(GRID.0)
        .label_style(text(16))
        .axis_desc_style(text(16))
        .x_desc("jails (both axes are logarithmic)")
        .x_label_formatter(&|jails| format!("{jails:.0}"))
        .y_label_formatter(&|ms| match *ms < 1000.0 {
            true => format!("{ms:.0} ms"),
            false => format!("{:.0} s", ms / 1000.0),
        })
        .draw()?;

    for (points, colour) in [(&cold, &COLD), (&warm, &WARM)] {
        let style = colour.0.stroke_width(3);
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        chart.draw_series(
            points
                .iter()
                .map(|at| Circle::new(*at, 4, colour.0.filled())),
        )?;
    }
    for key in ["cold_floor_ms", "warm_floor_ms"] {
        let line = points(report, key).into_iter();
        chart.draw_series(DashedLineSeries::new(line, 5, 4, FLOOR.0.stroke_width(2)))?;
    }
    let iocage = of_iocage(report);
    let line = iocage.iter().copied();
    chart.draw_series(LineSeries::new(line, IOCAGE.0.stroke_width(3)))?;
    let mark = |at: &(f64, f64)| Circle::new(*at, 5, IOCAGE.0.filled());
    chart.draw_series(iocage.iter().map(mark))?;

    let name = |at: (f64, f64), name: &str, colour: &Colour, down: i32| {
        let at = chart.backend_coord(&at);
        let anchor = Pos::new(HPos::Left, VPos::Center);
        let style = (FONT, 17).into_font().color(&colour.0).pos(anchor);
        paper.draw(&Text::new(
            name.to_string(),
            (at.0 + 12, at.1 + down),
            style,
        ))
    };
    name(*cold.last().unwrap(), "the first request", &COLD, 0)?;
    name(*warm.last().unwrap(), "every later one", &WARM, 0)?;
    name(*cold.last().unwrap(), "dashed: the floor, what", &FLOOR, 38)?;
    name(*cold.last().unwrap(), "any right answer takes", &FLOOR, 57)?;
    if let (Some(at), Some(row)) = (iocage.last(), list(report, "iocage").last()) {
        name(*at, "iocage list", &IOCAGE, 0)?;
        name(*at, row["how"].as_str().unwrap_or(""), &IOCAGE, 18)?;
    }
    paper.present()?;
    Ok(())
}

/// The same in words and numbers, for those who do not see it, and for tests.
fn told(report: &Value) -> String {
    let mut told = String::from("listjails, and iocage list, in ms.");
    for (name, points) in [
        ("first request", points(report, "cold_ms")),
        ("its floor", points(report, "cold_floor_ms")),
        ("later request", points(report, "warm_ms")),
        ("its floor", points(report, "warm_floor_ms")),
        ("iocage list", of_iocage(report)),
    ] {
        let points = points
            .iter()
            .map(|(jails, ms)| format!("{jails} jails {ms}"));
        told += &format!(" {name}: {}.", points.collect::<Vec<_>>().join(", "));
    }
    format!("<title>How long it takes to list all jails</title>\n<desc>{told}</desc>\n")
}

/// The colours on a dark page take the place of those that are drawn.
fn in_the_dark() -> String {
    let mut rules = String::new();
    for Colour(RGBColor(red, green, blue), dark) in COLOURS {
        let light = format!("#{red:02X}{green:02X}{blue:02X}");
        for attribute in ["fill", "stroke"] {
            rules += &format!("[{attribute}=\"{light}\"] {{ {attribute}: {dark} }}\n");
        }
    }
    format!("<style>\n@media (prefers-color-scheme: dark) {{\n{rules}}}\n</style>\n")
}
