//! A plot with a line for each server.

use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    canvas::{Drawn, FINE, Ink, draw_mark, svg},
    scale::Scale,
};
use crate::{columns::count, results::Spread};

pub struct Line {
    /// The place in the list of servers, which determines the colour and the mark.
    pub server: usize,
    pub ours: bool,
    pub points: Vec<Point>,
}

pub struct Point {
    /// The position along the horizontal axis, which is logarithmic.
    pub at: f64,
    pub value: Spread,
    /// True if the load generator limited the value, not the server. The mark of such a point is hollow.
    pub limited: bool,
}

pub struct Lines {
    pub label: String,
    pub below: &'static str,
    pub log: bool,
    pub write: fn(f64) -> String,
    /// The lines of the servers. The line of this crate's server is broad and comes first. The other lines are drawn
    /// above the broad line, so that lines with similar values stay visible.
    pub lines: Vec<Line>,
}

const SIZE: (i32, i32) = (620, 340);

/// Draws the plot. Returns `None` if there is nothing to draw.
pub fn draw(plot: &Lines) -> Drawn<Option<String>> {
    let points = plot.lines.iter().flat_map(|line| &line.points);
    let Some(x) = Scale::log_at(points.clone().map(|point| point.at)) else { return Ok(None) };
    let values = points.map(|point| point.value.median);
    let y = if plot.log {
        Scale::log(values)
    } else {
        values
            .reduce(f64::max)
            .filter(|highest| *highest > 0.0)
            .map(|highest| Scale::linear(0.0, highest * 1.04))
    };
    let Some(y) = y else { return Ok(None) };
    svg(SIZE, &plot.label, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(10 * FINE)
            .margin_right(16 * FINE)
            .x_label_area_size(46 * FINE)
            .y_label_area_size(58 * FINE)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .bold_line_style(Ink::Grid.line(2))
            .axis_style(Ink::Grid.line(2))
            .set_all_tick_mark_size(6 * FINE)
            .x_label_formatter(&|place| x.label(*place, count))
            .y_label_formatter(&|place| y.label(*place, plot.write))
            .x_label_style(Ink::Muted.text(12, false, HPos::Center))
            .y_label_style(Ink::Muted.text(12, false, HPos::Center))
            .x_desc(plot.below)
            .axis_desc_style(Ink::Muted.text(12, false, HPos::Center))
            .draw()?;
        for line in &plot.lines {
            let ink = Ink::Server(line.server);
            let place = |point: &Point, value: f64| chart.backend_coord(&(point.at, value));
            for point in line.points.iter().filter(|point| point.value.low > 0.0) {
                let Spread { low, high, .. } = point.value;
                area.draw(&PathElement::new(vec![place(point, low), place(point, high)], ink.line(2)))?;
            }
            let way: Vec<_> = line.points.iter().map(|point| place(point, point.value.median)).collect();
            area.draw(&PathElement::new(way.clone(), ink.line(if line.ours { 9 } else { 3 })))?;
            for (place, point) in way.into_iter().zip(&line.points) {
                // A hollow mark is a little larger, because only its edge is visible.
                let size = if line.ours { 13 } else { 7 + i32::from(point.limited) };
                draw_mark(area, place, line.server, ink, size)?;
                if point.limited {
                    draw_mark(area, place, line.server, Ink::Panel, size - 4)?;
                }
            }
        }
        Ok(())
    })
    .map(Some)
}
