//! A terminal's text as a picture.

use anstyle_svg::Term;

/// A terminal's colours on a light page and on a dark one, behind those that anstyle-svg writes.
const COLOURS: &str = "  .fg { fill: #1f2328 }
    .bg { fill: #f6f8fa; stroke: #d1d9e0 }
    @media (prefers-color-scheme: dark) {
      .fg { fill: #e6edf3 }
      .bg { fill: #151b23; stroke: #3d444d }
    }
  </style>";

/// A picture of a text that may have a terminal's colours. What was typed, behind a prompt, is bold.
pub fn picture(text: &str) -> String {
    let bold = |line: &str| match line.starts_with("# ") {
        true => format!("\x1b[1m{line}\x1b[0m\n"),
        false => format!("{line}\n"),
    };
    let text: String = text.trim_end().lines().map(bold).collect();
    let svg = Term::new().render_svg(text.trim_end());
    let size = |name: &str| {
        let value = svg.split(&format!(" {name}=\"")).nth(1).expect(name);
        value.split("px").next().expect(name)
    };
    // So that it shrinks as a whole on a small screen.
    let view = format!("<svg viewBox=\"0 0 {} {}\"", size("width"), size("height"));
    svg.replacen("<svg", &view, 1)
        .replacen("</style>", COLOURS, 1)
}
