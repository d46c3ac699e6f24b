//! A plot with a row for each server: bars, or marks on a scale.

use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    canvas::{Drawn, FINE, Ink, draw_mark, svg},
    scale::Scale,
};

pub enum Row {
    Heading(String),
    Server(Figures),
}

pub struct Figures {
    pub label: String,
    /// The place in the list of servers, which determines the colour and the mark.
    pub server: usize,
    pub ours: bool,
    /// The values of the marks, in order. A line connects the marks.
    pub marks: Vec<f64>,
    /// The two quartiles, or the two ends of the interval.
    pub between: Option<(f64, f64)>,
    /// The text beside the row.
    pub text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// The values are bars that begin at 0.
    Bars,
    /// The values are marks on a logarithmic scale.
    Log,
    /// The values are marks on a logarithmic scale for memory, whose ticks are powers of four.
    Binary,
    /// The values are marks on a linear scale around 1.
    Ratio,
}

pub struct Rows {
    pub label: String,
    pub below: &'static str,
    pub axis: Axis,
    pub write: fn(f64) -> String,
    pub rows: Vec<Row>,
    /// The width in pixels of the text beside the rows.
    pub text_width: i32,
}

const WIDTH: i32 = 620;
/// The largest number of letters of a label. Longer labels would leave no room for the plot.
const LONGEST: usize = 32;
const HEIGHT: i32 = 23;
/// The height above the rows. `TICKS` is the height below the rows for the ticks, and `NAME` is the height for the name
/// of the axis.
const TOP: i32 = 4;
const TICKS: i32 = 28;
const NAME: i32 = 20;

/// Draws the plot. Returns `None` if there is nothing to draw.
pub fn draw(plot: &Rows) -> Drawn<Option<String>> {
    let servers = plot.rows.iter().filter_map(|row| match row {
        Row::Heading(_) => None,
        Row::Server(figures) => Some(figures),
    });
    let ends = servers.clone().flat_map(|row| row.between.into_iter().flat_map(|(low, high)| [low, high]));
    let values = servers.clone().flat_map(|row| row.marks.iter().copied()).chain(ends);
    let Some(x) = scale(plot.axis, values) else { return Ok(None) };
    let longest = servers.map(|row| shortened(&row.label).chars().count()).max().unwrap_or_default() as i32;
    let left = (longest * 7 + 20).max(60);
    let count = plot.rows.len() as i32;
    let below = if plot.below.is_empty() { TICKS } else { TICKS + NAME };
    svg((WIDTH, count * HEIGHT + TOP + below), &plot.label, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(TOP * FINE)
            .margin_left(left * FINE)
            .margin_right((plot.text_width + 8) * FINE)
            .x_label_area_size(below * FINE)
            .build_cartesian_2d(x.clone(), f64::from(count)..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .bold_line_style(Ink::Grid.line(2))
            .axis_style(Ink::Grid.line(2))
            .set_all_tick_mark_size(6 * FINE)
            .x_label_formatter(&|place| x.label(*place, plot.write))
            .x_label_style(Ink::Muted.text(12, false, HPos::Center))
            .x_desc(plot.below)
            .axis_desc_style(Ink::Muted.text(12, false, HPos::Center))
            .draw()?;
        let place = |value: f64, row: usize| chart.backend_coord(&(value, row as f64 + 0.5));
        if plot.axis == Axis::Ratio {
            let (across, _) = place(1.0, 0);
            let (from, to) = (TOP * FINE, (TOP + count * HEIGHT) * FINE);
            area.draw(&PathElement::new(vec![(across, from), (across, to)], Ink::Muted.line(3)))?;
        }
        for (at, row) in plot.rows.iter().enumerate() {
            let middle = (TOP + HEIGHT * at as i32 + HEIGHT / 2) * FINE;
            let figures = match row {
                Row::Heading(text) => {
                    // A long heading reaches into the plot, so the rectangle hides the lines of the plot behind the
                    // heading.
                    let (top, width) = (TOP + HEIGHT * at as i32, WIDTH * FINE);
                    let corners = [(0, (top - 2) * FINE), (width, (top + HEIGHT - 1) * FINE)];
                    area.draw(&Rectangle::new(corners, Ink::Panel.fill()))?;
                    let style = Ink::Muted.text(13, true, HPos::Left);
                    area.draw(&Text::new(text.as_str(), (4 * FINE, middle), style))?;
                    continue;
                }
                Row::Server(figures) => figures,
            };
            let ink = Ink::Server(figures.server);
            let label = Ink::Text.text(13, figures.ours, HPos::Right);
            area.draw(&Text::new(shortened(&figures.label), ((left - 8) * FINE, middle), label))?;
            let beside = Ink::Text.text(13, figures.ours, HPos::Right);
            area.draw(&Text::new(figures.text.as_str(), ((WIDTH - 6) * FINE, middle), beside))?;

            if plot.axis == Axis::Bars {
                let thick = if figures.ours { 8 } else { 6 } * FINE;
                for value in &figures.marks {
                    let (from, to) = (place(0.0, at).0, place(*value, at).0.max(place(0.0, at).0 + 2));
                    let corners = [(from, middle - thick), (to, middle + thick)];
                    area.draw(&Rectangle::new(corners, ink.fill()))?;
                }
                if let Some((low, high)) = figures.between {
                    let ends = vec![(place(low, at).0, middle), (place(high, at).0, middle)];
                    area.draw(&PathElement::new(ends, Ink::Text.line(2)))?;
                }
                continue;
            }
            let mut across: Vec<i32> = figures.marks.iter().map(|value| place(*value, at).0).collect();
            if let (Some(first), Some(last)) = (across.first(), across.last()) {
                let (first, last) = match figures.between {
                    Some((low, high)) => (place(low, at).0, place(high, at).0),
                    None => (*first, *last),
                };
                let thick = if figures.ours { 7 } else { 4 };
                area.draw(&PathElement::new(vec![(first, middle), (last, middle)], ink.line(thick)))?;
            }
            // The last mark is drawn first, because the first mark counts most if marks overlap.
            while let Some(x) = across.pop() {
                draw_mark(
                    area,
                    (x, middle),
                    figures.server,
                    ink,
                    if figures.ours { 11 } else { 9 } - across.len() as i32,
                )?;
            }
        }
        Ok(())
    })
    .map(Some)
}

/// Returns a label that is cut to [`LONGEST`] letters. The table shows the whole name.
fn shortened(label: &str) -> String {
    match label.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &label[..end]),
        None => label.to_owned(),
    }
}

fn scale(axis: Axis, values: impl Iterator<Item = f64>) -> Option<Scale> {
    match axis {
        Axis::Bars => {
            let highest = values.reduce(f64::max).filter(|highest| *highest > 0.0)?;
            Some(Scale::linear(0.0, highest))
        }
        Axis::Log => Scale::log(values),
        Axis::Binary => Scale::binary(values),
        Axis::Ratio => {
            let ends = values.map(|value| (value, value));
            let (low, high) = ends.reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))?;
            // The scale reaches at least from 0.9 to 1.1, so that differences within the noise look small.
            Some(Scale::linear(low.min(0.9), high.max(1.1)))
        }
    }
}
