//! The drawing tools of all plots: colours whose values the page's style sheet sets, text, marks, and the SVG for the
//! page.

use std::error::Error;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::escape;

pub type Drawn<T> = Result<T, Box<dyn Error>>;

/// The number of units for a pixel. The plotting crate has whole coordinates only; with two units for a pixel, lines
/// and marks lie closer to their exact places.
pub const FINE: i32 = 2;

/// The number of servers that have a colour of their own. Further servers use the colours again, with other marks. No
/// other server uses the first colour, which belongs to this crate's server.
pub const COLOURS: usize = 8;

const MARKS: usize = 4;

fn colour(server: usize) -> usize {
    if server == 0 { 0 } else { 1 + (server - 1) % (COLOURS - 1) }
}

/// The colour in which a shape is drawn. The page's style sheet has two sets of colours, for light and for dark pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Text,
    Muted,
    Grid,
    /// The background of the picture, for shapes that cover other shapes.
    Panel,
    /// The place in the list of servers. This crate's server has the place 0, whatever the order of the list.
    Server(usize),
}

impl Ink {
    /// Returns a placeholder colour, which [`finish`] replaces by the class of the style sheet.
    fn stand_in(self) -> RGBColor {
        match self {
            Ink::Text => RGBColor(1, 0, 254),
            Ink::Muted => RGBColor(2, 0, 254),
            Ink::Grid => RGBColor(3, 0, 254),
            Ink::Panel => RGBColor(5, 0, 254),
            Ink::Server(at) => RGBColor(4, colour(at) as u8, 254),
        }
    }

    /// Returns the part of the style sheet's class name that stands for this ink.
    pub fn class(self) -> String {
        match self {
            Ink::Text => "text".to_owned(),
            Ink::Muted => "muted".to_owned(),
            Ink::Grid => "grid".to_owned(),
            Ink::Panel => "panel".to_owned(),
            Ink::Server(at) => format!("c{}", colour(at)),
        }
    }

    pub fn fill(self) -> ShapeStyle {
        self.stand_in().filled()
    }

    /// Returns a style for lines. `width` is in half pixels.
    pub fn line(self, width: u32) -> ShapeStyle {
        self.stand_in().stroke_width(width)
    }

    pub fn text(self, pixels: i32, bold: bool, across: HPos) -> TextStyle<'static> {
        let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
        // The plotting crate divides the size by 1.24 when it writes the SVG.
        let size = f64::from(pixels * FINE) * 1.24;
        let font = FontDesc::new(FontFamily::Name("system-ui"), size, style);
        TextStyle {
            color: self.stand_in().to_backend_color(),
            pos: Pos::new(across, VPos::Center),
            ..TextStyle::from(font)
        }
    }
}

/// Returns the name of a server's mark in the style sheet, for legends.
pub fn mark_class(server: usize) -> String {
    format!("m{}", mark(server))
}

fn mark(server: usize) -> usize {
    (server + 2 * (server.saturating_sub(1) / (COLOURS - 1))) % MARKS
}

/// Draws a server's mark. Marks let a reader tell servers apart without colours.
pub fn draw_mark<DB: DrawingBackend>(
    area: &DrawingArea<DB, Shift>,
    at: (i32, i32),
    server: usize,
    ink: Ink,
    size: i32,
) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
    let (style, wide) = (ink.fill(), size * 5 / 4);
    let corners = match mark(server) {
        0 => return area.draw(&Circle::new(at, size, style)),
        1 => vec![(-size, -size), (size, -size), (size, size), (-size, size)],
        2 => vec![(0, -wide), (wide, size), (-wide, size)],
        _ => vec![(0, -wide), (wide, 0), (0, wide), (-wide, 0)],
    };
    let corners: Vec<_> = corners.into_iter().map(|(x, y)| (at.0 + x, at.1 + y)).collect();
    area.draw(&Polygon::new(corners, style))
}

/// Returns an SVG of the given size in pixels with the shapes that `draw` draws. Screen readers read `label` aloud.
pub fn svg(
    (width, height): (i32, i32),
    label: &str,
    draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn<()>,
) -> Drawn<String> {
    let size = ((width * FINE) as u32, (height * FINE) as u32);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area)?;
        area.present()?;
    }
    Ok(finish(&svg, size, label))
}

/// Replaces the placeholder colours by classes, and makes the picture fill the width of its container.
fn finish(svg: &str, (width, height): (u32, u32), label: &str) -> String {
    let (_, inside) = svg.split_once('>').unwrap_or_default();
    let mut inside = inside.to_owned();
    let inks =
        [Ink::Text, Ink::Muted, Ink::Grid, Ink::Panel].into_iter().chain((0..COLOURS).map(Ink::Server));
    for ink in inks {
        let RGBColor(r, g, b) = ink.stand_in();
        for what in ["fill", "stroke"] {
            let stand_in = format!("{what}=\"#{r:02X}{g:02X}{b:02X}\"");
            inside = inside.replace(&stand_in, &format!("class=\"{what}-{}\"", ink.class()));
        }
    }
    let label = escape(label);
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">\n<title>{label}</title>{inside}"
    )
}
