//! The report is one HTML file that needs no other file. The report has plots, tables, and the facts that a reader
//! needs to judge the plots and the tables.
//!
//! The report contains no script and refers to nothing outside. All strings are escaped, because the names of servers
//! can come from the command line, and errors can contain any text.

mod canvas;
mod figures;
mod lines;
mod rows;
mod scale;
mod tables;
#[cfg(test)]
mod tests;

use std::error::Error;

use crate::{
    columns::{self, LIMITED, OURS, bytes, count},
    results::{Kind, Machine, Results},
};

const STYLE: &str = include_str!("report/style.css");
const METHOD: &str = include_str!("report/method.html");

pub fn html(results: &Results) -> Result<String, Box<dyn Error>> {
    let title = format!("{OURS}: benchmark");
    let mut body = String::new();
    body += &format!("<header>\n<h1>{title}</h1>\n{}</header>\n<main>\n", facts(results));
    body += &notes(results); // The notes come first, because they may question all figures.
    body += &servers(results);
    let glance = figures::glance(results)?;
    if !glance.is_empty() {
        body += &format!(
            "<section>\n<h2>At a glance</h2>\n<p>Each ratio compares rounds that ran directly after each other. \
             Ratios depend less on the machine than absolute figures do.{}</p>\n<div class=\"figures\">\n{glance}</div>\n\
             </section>\n",
            if glance.contains(LIMITED) { limited() } else { String::new() }
        );
    }
    for group in columns::groups(results) {
        body += &format!("<section>\n<h2>{}</h2>\n", escape(&columns::group_title(group[0])));
        if let Some(floor) = columns::about_floor(&group) {
            body += &format!("<p>{}</p>\n", escape(&floor));
        }
        let figures = figures::of_group(results, &group)?;
        if !figures.is_empty() {
            body += &format!("<div class=\"figures\">\n{figures}</div>\n");
        }
        body += &tables::of_group(results, &group);
        body += "</section>\n";
    }
    if results.workloads.is_empty() {
        body += "<section>\n<p>There are no results.</p>\n</section>\n";
    }
    body += METHOD;
    body += "</main>\n";
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    ))
}

/// Returns the facts about the machine and the time of the run.
fn facts(results: &Results) -> String {
    let Machine { system, kernel, processor, cores, memory_bytes, pinned, descriptors } = &results.machine;
    let known = |text: &str| if text.is_empty() { "unknown".to_owned() } else { escape(text) };
    let pinned = match pinned {
        true => "the server and the load generator each had a core of their own",
        false => "the server and the load generator may have shared a core",
    };
    let facts = [
        ("System", known(format!("{system} {kernel}").trim())),
        ("Processor", known(processor)),
        ("Cores", format!("{cores}; {pinned}")),
        ("Memory", bytes(*memory_bytes as f64)),
        ("Descriptors", format!("a process may have {}", count(*descriptors as f64))),
        ("Run", format!("began at {}, took {} s", date(results.began), count(results.seconds))),
        ("Command", format!("<code>{}</code>", escape(&columns::command(results)))),
    ];
    let rows: String =
        facts.iter().map(|(what, value)| format!("<dt>{what}</dt><dd>{value}</dd>\n")).collect();
    format!("<dl class=\"facts\">\n{rows}</dl>\n")
}

fn servers(results: &Results) -> String {
    let mut items = String::new();
    for server in &results.servers {
        let is = |name: &Option<String>| name.as_ref() == Some(&server.name);
        let mut streams = results.workloads.iter().filter(|workload| workload.kind == Kind::Bulk);
        let role = if is(&results.floor) {
            " <em>floor of the ratios</em>"
        } else if is(&results.baseline) {
            " <em>baseline of the ratios</em>"
        } else if streams.any(|workload| is(&workload.floor)) {
            " <em>floor of bulk streams</em>"
        } else {
            ""
        };
        let swatch = figures::swatch(figures::place_of(results, &server.name));
        let (name, about) = (figures::name(&server.name), escape(&server.about));
        items +=
            &format!("<li>{swatch}<span>{name} <span class=\"about\">{about}</span>{role}</span></li>\n");
    }
    if items.is_empty() {
        return items;
    }
    format!("<section>\n<h2>Servers</h2>\n<ul class=\"servers\">\n{items}</ul>\n</section>\n")
}

fn notes(results: &Results) -> String {
    if results.notes.is_empty() {
        return String::new();
    }
    let items: String = results.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
    format!("<section class=\"notes\">\n<h2>Notes on this run</h2>\n<ul>\n{items}</ul>\n</section>\n")
}

/// Returns the sentence that explains the mark.
fn limited() -> String {
    format!(" {LIMITED} The load generator was the limit of this rate, not the server.")
}

/// Returns the date and the minute in UTC for a time in seconds since 1970.
fn date(seconds: u64) -> String {
    let (mut days, minutes) = (seconds / 86_400, seconds / 60 % 1440);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02} UTC", days + 1, minutes / 60, minutes % 60)
}

/// Escapes a string for text and for the values of attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}
