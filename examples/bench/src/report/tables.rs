//! The tables with the figures behind the plots.

use super::{
    escape,
    figures::{name, place_of, swatch},
    limited,
};
use crate::{
    columns::{self, Column, NONE, OURS, row_title},
    results::{Outcome, Results, Summary, Workload},
};

/// Returns one table for a group. Each workload has a part of the table's body.
pub fn of_group(results: &Results, group: &[&Workload]) -> String {
    let columns = columns::all(group);
    let mut head = "<th scope=\"col\">server</th>".to_owned();
    for column in &columns {
        let (what, unit) = column.head(group);
        head += &format!("<th scope=\"col\">{} <small>{unit}</small></th>", escape(&what));
    }
    let bodies: String = group.iter().map(|workload| body(results, workload, &columns)).collect();
    let any_limited = group.iter().flat_map(|workload| &workload.results).any(is_limited);
    let caption = escape(&columns::group_title(group[0]));
    let below =
        if any_limited { format!("<p class=\"below\">{}</p>\n", limited().trim()) } else { String::new() };
    format!(
        "<div class=\"table\"><table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n{bodies}\
         </table></div>\n{below}"
    )
}

fn body(results: &Results, workload: &Workload, columns: &[Column]) -> String {
    let wide = columns.len() + 1;
    let mut rows = format!(
        "<tr class=\"part\"><th scope=\"rowgroup\" colspan=\"{wide}\">{}</th></tr>\n",
        escape(&row_title(workload))
    );
    for outcome in &workload.results {
        let class = if outcome.server == OURS { " class=\"ours\"" } else { "" };
        let server = format!("{}{}", swatch(place_of(results, &outcome.server)), name(&outcome.server));
        let error = outcome.error.as_deref().map(escape);
        let cells = match (&outcome.summary, &error) {
            // The reason for missing figures tells a reader more than a row of dashes.
            (None, Some(error)) => format!("<td class=\"error\" colspan=\"{}\">{error}</td>", columns.len()),
            (None, None) => format!("<td>{NONE}</td>").repeat(columns.len()),
            (Some(summary), _) => columns.iter().map(|column| cell(*column, workload, summary)).collect(),
        };
        rows += &format!("<tr{class}><th scope=\"row\">{server}</th>{cells}</tr>\n");
        if let (Some(_), Some(error)) = (&outcome.summary, error) {
            rows += &format!("<tr{class}><td class=\"error\" colspan=\"{wide}\">{error}</td></tr>\n");
        }
    }
    format!("<tbody>\n{rows}</tbody>\n")
}

fn cell(column: Column, workload: &Workload, summary: &Summary) -> String {
    let text = escape(&column.cell(workload.kind, summary));
    // The ratio matters more than its interval, so the interval is smaller.
    match text.split_once(" (") {
        Some((ratio, interval)) => format!("<td>{ratio} <small>({interval}</small></td>"),
        None => format!("<td>{text}</td>"),
    }
}

fn is_limited(outcome: &Outcome) -> bool {
    outcome.summary.as_ref().is_some_and(|summary| summary.generator_limited)
}
