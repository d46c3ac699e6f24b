//! The table that the benchmark prints at the end of the run.

use std::io::{self, IsTerminal, Write};

use comfy_table::{
    Attribute, Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets::UTF8_HORIZONTAL_ONLY,
};

use crate::{
    columns::{self, Column, LIMITED, NONE, OURS},
    results::{Kind, Outcome, Results, Workload},
};

/// The width of the table in characters. The longest row fits, and the table is not wider than half a large screen.
const WIDTH: u16 = 114;

pub fn print(results: &Results) {
    let mut stdout = io::stdout();
    let text = render(results, stdout.is_terminal());
    // The code does not use println!, which panics if no process reads the pipe of standard output any more.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Returns the table as text. `styled` adds the styles for a terminal; without `styled` the table has only text and
/// lines.
fn render(results: &Results, styled: bool) -> String {
    let mut text = String::new();
    let mut limited = false;
    for group in columns::groups(results) {
        text.push_str(&format!("\n{}\n", columns::group_title(group[0])));
        text.push_str(&table(&group, styled));
        text.push('\n');
        if let Some(floor) = columns::about_floor(&group) {
            text.push_str(&format!("  {floor}\n"));
        }
        for (workload, outcome, error) in columns::errors(&group) {
            let connections = columns::row_title(workload);
            text.push_str(&format!("  {}, {connections}: {}\n", outcome.server, one_line(error)));
        }
        limited |= group.iter().flat_map(|workload| &workload.results).any(is_limited);
    }
    if limited {
        text.push_str(&format!(
            "\n{LIMITED} The load generator was the limit of this rate, not the server.\n"
        ));
    }
    if !results.notes.is_empty() {
        text.push('\n');
    }
    for note in &results.notes {
        text.push_str(&format!("Note: {}\n", one_line(note)));
    }
    text
}

fn table(group: &[&Workload], styled: bool) -> String {
    let kind = group[0].kind;
    let columns = columns::few(group);
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections)
        .remove_style(TableComponent::LeftBorderIntersections)
        .remove_style(TableComponent::RightBorderIntersections)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(header(group, &columns));
    if styled {
        table.enforce_styling()
    } else {
        table.force_no_tty()
    };
    for (place, workload) in group.iter().enumerate() {
        if place > 0 {
            table.add_row([""]);
        }
        for (at, outcome) in workload.results.iter().enumerate() {
            let first = if at == 0 { columns::count(workload.connections as f64) } else { String::new() };
            let mut cells = vec![right(first), Cell::new(&outcome.server)];
            let summary = outcome.summary.as_ref();
            cells.extend(columns.iter().map(|column| {
                right(summary.map_or_else(|| NONE.to_owned(), |summary| column.cell(kind, summary)))
            }));
            if outcome.server == OURS {
                cells = cells.into_iter().map(|cell| cell.add_attribute(Attribute::Bold)).collect();
            }
            table.add_row(cells);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.trim_fmt()
}

fn header(group: &[&Workload], columns: &[Column]) -> Vec<Cell> {
    let clients = match group[0].kind {
        Kind::Broadcast => "subscrs",
        Kind::Datagrams => "sockets",
        _ => "conns",
    };
    let mut cells = vec![right(clients), Cell::new("server")];
    cells.extend(columns.iter().map(|column| {
        let (what, unit) = column.head(group);
        right(format!("{what}\n{unit}"))
    }));
    cells
}

fn right(content: impl ToString) -> Cell {
    Cell::new(content).set_alignment(CellAlignment::Right)
}

fn is_limited(outcome: &Outcome) -> bool {
    outcome.summary.as_ref().is_some_and(|summary| summary.generator_limited)
}

/// Replaces control characters by spaces, because the output of another program can contain line ends and escape
/// sequences, which a terminal would execute.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, run::references, statistics::summarise};

    fn lines_with<'a>(text: &'a str, part: &str) -> Vec<&'a str> {
        text.lines().filter(|line| line.contains(part)).collect()
    }

    #[test]
    fn the_table_fits_its_width_and_has_no_styles_without_a_terminal() {
        let text = render(&fixture::full(), false);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("rate vs. threads"), "the table wraps its headings: {text}");
        for line in
            lines_with(&text, "").iter().filter(|line| !line.starts_with("Note") && !line.starts_with("  "))
        {
            assert!(line.chars().count() <= usize::from(WIDTH), "{line}");
        }
    }

    #[test]
    fn the_table_on_a_terminal_emphasises_the_server_of_this_crate() {
        let text = render(&fixture::full(), true);
        let ours = format!("{OURS} ");
        assert!(lines_with(&text, &ours).iter().all(|line| line.contains('\u{1b}')), "{text}");
        assert!(lines_with(&text, " tokio ").iter().all(|line| !line.contains('\u{1b}')), "{text}");
    }

    #[test]
    fn a_row_has_the_figures_of_its_kind_of_workload() {
        let mut results = fixture::full();
        results.workloads.retain(|workload| workload.kind == Kind::Bulk && workload.connections == 1);
        let text = render(&results, false);
        assert!(text.contains("MiB/s") && text.contains("s/GiB") && !text.contains("p99"), "{text}");
        let summary = results.workloads[0].results[2].summary.as_ref().unwrap();
        let text = text.replace('\u{a0}', "");
        let row = lines_with(&text, " mio-256k ").into_iter().find(|line| !line.contains("server")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().collect();
        let rate = format!("{:.0}{LIMITED}", summary.mebibytes_per_second.median);
        assert_eq!(
            cells[..4],
            ["mio-256k", &rate, &format!("{:.3}", summary.cpu_per_gib.median), "1"],
            "{text}"
        );
    }

    #[test]
    fn the_tables_of_workloads_with_servers_of_their_own_name_their_own_references() {
        let mut results = fixture::full();
        results.workloads.retain(|workload| !workload.kind.is_echo());
        let text = render(&results, false).replace('\u{a0}', " ");
        let heads = lines_with(&text, "server").join("\n");
        for part in ["s/GiB", "MiB/s", "GiB/s", "µs/msg", "msgs/s", "subscrs", "datagrams/s", "sockets"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        for title in
            ["Framed streams, 40 001 bytes in a frame", "Broadcast, 1 KiB, 16 in flight", "A file of 200 MiB"]
        {
            assert_eq!(lines_with(&text, title).len(), 1, "{title}: {text}");
        }
        assert!(
            !heads.contains("threads") && text.contains("tidegate-copy") && text.contains("nginx"),
            "{text}"
        );
    }

    #[test]
    fn the_table_of_datagrams_has_the_latency_and_the_lost_datagrams() {
        let mut results = fixture::full();
        results.workloads.retain(|workload| workload.kind == Kind::Datagrams);
        let text = render(&results, false);
        for head in ["Datagrams, 64\u{a0}bytes", "rate vs. mio", "p99", "µs/datagram", "lost"] {
            assert!(text.contains(head), "{head}: {text}");
        }
        let rows = lines_with(&text, " tidegate ");
        assert_eq!(rows.len(), 2, "{text}");
        // In the fixture, every second round loses a datagram.
        assert!(rows.iter().all(|row| row.split_whitespace().last() == Some("4")), "{text}");
    }

    #[test]
    fn a_line_below_the_table_names_the_floor_of_streams() {
        let mut results = fixture::full();
        let text = render(&results, false);
        let named = "for a GiB: mio-256k.\n";
        assert!(
            text.contains(named) && text.contains("CPU vs. mio-256k") && text.contains("CPU vs. mio "),
            "{text}"
        );
        results.workloads.retain(|workload| workload.kind == Kind::Bulk);
        results.workloads[0].floor = Some("mio".into());
        let text = render(&results, false);
        assert!(text.contains(": mio with 1 connection, mio-256k with 16 connections.\n"), "{text}");
        assert!(text.contains("CPU vs. floor"), "{text}");
    }

    #[test]
    fn the_table_has_no_ratios_to_a_server_that_did_not_take_part() {
        let mut results = fixture::full();
        // In other workloads tokio is the baseline.
        results.workloads.retain(|workload| workload.kind.is_echo());
        for workload in &mut results.workloads {
            workload.results.retain(|outcome| ["tidegate", "tokio"].contains(&outcome.server.as_str()));
            summarise(workload, &references(workload.kind));
        }
        (results.floor, results.baseline) = (None, None);
        let text = render(&results, false);
        assert!(text.contains("CPU"), "{text}");
        for absent in ["CPU vs.", "rate vs.", "95 %", "floor"] {
            assert!(!text.contains(absent), "{absent}: {text}");
        }
    }

    #[test]
    fn failures_and_notes_stand_below_the_table() {
        let mut results = fixture::full();
        results.workloads.truncate(2);
        results.workloads[1].results[5].error = Some("one\nat a \u{1b}[31mtime".into());
        let text = render(&results, false);
        assert!(text.contains("  blocking, 10 connections: one at a  [31mtime\n"), "{text}");
        assert_eq!(lines_with(&text, "Note: ").len(), results.notes.len());
        let row = lines_with(&text, " blocking ")[1];
        assert!(row.contains(NONE) && !row.contains("NaN"), "{row}");
    }

    #[test]
    fn the_mark_of_a_limited_rate_is_explained_only_if_the_table_has_such_a_mark() {
        let mut results = fixture::full();
        assert!(render(&results, false).contains("The load generator was the limit"));
        results.workloads.retain(|workload| workload.kind != Kind::Bulk);
        results.workloads.retain(|workload| !workload.results.iter().any(is_limited));
        assert!(!render(&results, false).contains(LIMITED));
    }

    #[test]
    fn empty_results_print_no_text() {
        assert_eq!(render(&fixture::empty(), false), "");
    }
}
