//! What all plots are drawn with: colours that the page decides on, text, marks, and the SVG as it goes into the page.

use std::error::Error;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::escape;

pub type Drawn<T> = Result<T, Box<dyn Error>>;

/// The plotting crate knows whole numbers only: with two for a pixel, lines and marks are where they belong.
pub const FINE: i32 = 2;

/// How many servers have a colour of their own. Further ones begin again after the first, which is ours alone, and
/// have other marks.
pub const COLOURS: usize = 8;

const MARKS: usize = 4;

fn colour(server: usize) -> usize {
    if server == 0 { 0 } else { 1 + (server - 1) % (COLOURS - 1) }
}

/// What a thing is drawn in. The page's style sheet has the colours, one set for light and one for dark.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Text,
    Muted,
    Grid,
    /// What the picture stands on, to cover what lies below.
    Panel,
    /// The place in the list of servers; ours is the first, whatever the order.
    Server(usize),
}

impl Ink {
    /// A colour that stands for it until [`finish`] puts the style sheet's class in its place.
    fn stand_in(self) -> RGBColor {
        match self {
            Ink::Text => RGBColor(1, 0, 254),
            Ink::Muted => RGBColor(2, 0, 254),
            Ink::Grid => RGBColor(3, 0, 254),
            Ink::Panel => RGBColor(5, 0, 254),
            Ink::Server(at) => RGBColor(4, colour(at) as u8, 254),
        }
    }

    /// Of the style sheet.
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

    /// `width` in half pixels.
    pub fn line(self, width: u32) -> ShapeStyle {
        self.stand_in().stroke_width(width)
    }

    pub fn text(self, pixels: i32, bold: bool, across: HPos) -> TextStyle<'static> {
        let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
        // The SVG has the size divided by this.
        let size = f64::from(pixels * FINE) * 1.24;
        let font = FontDesc::new(FontFamily::Name("system-ui"), size, style);
        TextStyle {
            color: self.stand_in().to_backend_color(),
            pos: Pos::new(across, VPos::Center),
            ..TextStyle::from(font)
        }
    }
}

/// The name of a server's mark in the style sheet, for legends.
pub fn mark_class(server: usize) -> String {
    format!("m{}", mark(server))
}

fn mark(server: usize) -> usize {
    (server + 2 * (server.saturating_sub(1) / (COLOURS - 1))) % MARKS
}

/// A server's mark, so that colour is not all that tells them apart.
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

/// An SVG of so many pixels, with what `draw` draws; `label` is for who cannot see it.
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

/// Puts classes where the stand-ins for colours are, and makes the picture as wide as its place.
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
