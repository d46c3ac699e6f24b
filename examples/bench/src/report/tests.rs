use super::*;
use crate::{
    fixture,
    results::{Kind, Latency, Round, Server, Workload},
    run::references,
    statistics::{References, summarise},
};

/// Returns results with one workload of two servers, and one round for each server.
fn small() -> Results {
    let round = |messages: u64| Round {
        seconds: 1.0,
        messages,
        bytes: messages * 64,
        user_seconds: 0.25,
        system_seconds: 0.5,
        peak_bytes: 3 << 20,
        latency: Some(Latency { p50: 10.0, p99: 20.0, p999: 40.0, max: 90.0 }),
        ..Round::default()
    };
    let outcome = |server: &str, messages: u64| crate::results::Outcome {
        server: server.into(),
        rounds: vec![round(messages)],
        error: None,
        summary: None,
    };
    let mut workload = Workload {
        kind: Kind::PingPong,
        title: "ping-pong".into(),
        connections: 10,
        message_bytes: 64,
        in_flight: 1,
        rate: None,
        floor: None,
        baseline: None,
        counterpart: None,
        results: vec![outcome(OURS, 150_000), outcome("a<b>&\"c\"", 75_000)],
    };
    let references = References { floors: &[], baseline: "a<b>&\"c\"", counterpart: None };
    summarise(&mut workload, &references);
    Results {
        servers: vec![
            Server { name: OURS.into(), about: "ours".into() },
            Server { name: "a<b>&\"c\"".into(), about: "<script>alert('x')</script>".into() },
        ],
        baseline: Some("a<b>&\"c\"".into()),
        workloads: vec![workload],
        ..fixture::empty()
    }
}

/// Checks that the tags are nested correctly, that numbers are valid, and that the page refers to nothing outside.
fn check(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let (_, body) = page.split_once("</style>").unwrap();
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "not escaped: {text}");
        let name = tag.trim_start_matches('/').split_whitespace().next().unwrap();
        if tag.starts_with('/') && open.is_empty() {
            assert!(["head", "html", "body"].contains(&name), "{tag}");
        } else if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') && name != "body" {
            open.push(name);
        }
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
    for word in body.split(|letter: char| !letter.is_alphanumeric()) {
        assert!(!["NaN", "inf", "None"].contains(&word), "{word}");
    }
    for outside in ["http://", "https://", "src=", "href=", "url(", "@import", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The page contains none of the placeholder colours any more.
    assert!(!body.contains("=\"#"), "the page has a colour that the style sheet does not set");
}

#[test]
fn a_full_run_makes_a_page_with_all_plots_and_tables() {
    let results = fixture::full();
    let page = html(&results).unwrap();
    check(&page);
    let pictures = page.matches("<svg ").count();
    assert!(pictures > 15, "{pictures}");
    assert_eq!(page.matches("<figure>").count(), pictures);
    assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), pictures);
    assert_eq!(page.matches("</title>").count(), pictures + 1);
    assert_eq!(page.matches("<table>").count(), columns::groups(&results).len());
    for server in &results.servers {
        assert!(page.contains(&server.name) && page.contains(&escape(&server.about)), "{}", server.name);
    }
    for note in &results.notes {
        assert!(page.contains(note.as_str()));
    }
    assert!(page.contains("Some Processor 9 9950X") && page.contains("6.12.48-generic"));
    assert!(page.contains("2025-11-24 21:33 UTC"));
    assert!(page.contains("<code>cargo run --release -p bench -- --html report.html</code>"));
    assert!(page.contains("it serves one client at a time"));
}

#[test]
fn the_table_of_the_report_shows_the_figures() {
    let page = html(&small()).unwrap();
    check(&page);
    assert!(page.contains("<td>150\u{a0}000</td><td>5.00</td><td>33</td>"), "{page}");
    assert!(page.contains("<td>2.00 <small>(2.00–2.00)</small></td>"), "{page}");
}

#[test]
fn names_and_descriptions_of_servers_are_escaped() {
    let page = html(&small()).unwrap();
    assert!(!page.contains("a<b") && !page.contains("<script"));
    assert!(page.contains("a&lt;b&gt;&amp;&quot;c&quot;"));
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn empty_results_make_a_page_without_plots() {
    let page = html(&fixture::empty()).unwrap();
    check(&page);
    assert!(page.contains("There are no results") && !page.contains("<svg"));
}

#[test]
fn workloads_without_figures_have_an_error_and_no_plot() {
    let mut results = fixture::full();
    for outcome in results.workloads.iter_mut().flat_map(|workload| &mut workload.results) {
        outcome.rounds.clear();
        outcome.summary = None;
        outcome.error = Some("it did <not> start".into());
    }
    let page = html(&results).unwrap();
    check(&page);
    assert!(!page.contains("<svg") && page.contains("it did &lt;not&gt; start"));
}

#[test]
fn rounds_whose_figures_are_all_zero_make_a_valid_page() {
    let mut results = fixture::full();
    for workload in &mut results.workloads {
        for outcome in &mut workload.results {
            outcome.rounds = vec![Round { latency: Some(Latency::default()), ..Round::default() }];
        }
        summarise(workload, &references(workload.kind));
    }
    check(&html(&results).unwrap());
}

#[test]
fn a_plot_leaves_out_servers_without_data() {
    let mut results = fixture::full();
    results.workloads.truncate(5);
    for workload in &mut results.workloads {
        workload.results.iter_mut().filter(|outcome| outcome.server == "blocking").for_each(|outcome| {
            outcome.summary = None;
        });
    }
    let page = html(&results).unwrap();
    for legend in page.split("<ul class=\"legend\">").skip(1) {
        let (legend, _) = legend.split_once("</ul>").unwrap();
        assert!(legend.contains("threads-256k") && !legend.contains("blocking"), "{legend}");
    }
}

#[test]
fn the_report_explains_hollow_marks_and_names_the_floor_of_streams() {
    let mut results = fixture::full();
    let page = html(&results).unwrap();
    assert!(
        page.contains(
            "<p>The floor is the bare mio loop that took the least CPU time for a GiB: mio-256k.</p>"
        )
    );
    assert!(page.contains("floor of the ratios") && page.contains("floor of bulk streams"));
    assert!(
        page.contains(">CPU time of tidegate, compared with the floor<")
            && page.contains("1 connection, vs. mio-256k")
    );
    // In the fixture, the load generator is the limit in the workload with one connection and 16 KiB.
    let hollow = "hollow marks: the load generator was the limit";
    assert_eq!(page.matches(hollow).count(), 3, "throughput, CPU and latency of one workload");
    for workload in &mut results.workloads {
        let summaries = workload.results.iter_mut().filter_map(|outcome| outcome.summary.as_mut());
        summaries.for_each(|summary| summary.generator_limited = false);
    }
    let page = html(&results).unwrap();
    assert!(!page.contains(hollow) && !page.contains("The load generator was the limit"));
}

#[test]
fn the_report_has_no_ratios_to_a_server_that_did_not_take_part() {
    let mut results = fixture::full();
    // In other workloads tokio is the baseline.
    results.workloads.retain(|workload| workload.kind.is_echo());
    results.servers.retain(|server| ["tidegate", "tokio"].contains(&server.name.as_str()));
    for workload in &mut results.workloads {
        workload.results.retain(|outcome| ["tidegate", "tokio"].contains(&outcome.server.as_str()));
        summarise(workload, &references(workload.kind));
    }
    (results.floor, results.baseline) = (None, None);
    let page = html(&results).unwrap();
    check(&page);
    for absent in ["At a glance", "ratio (95 %)", "CPU vs.", "rate vs.", "floor of"] {
        assert!(!page.contains(absent), "{absent}");
    }
}

#[test]
fn each_server_has_its_own_look_and_the_server_of_this_crate_is_first() {
    let mut results = small();
    results.servers.reverse();
    assert_eq!(figures::place_of(&results, OURS), 0);
    assert_eq!(figures::place_of(&results, "a<b>&\"c\""), 1);
    assert_eq!(figures::place_of(&results, "not there"), 2);
    let twenty: Vec<Server> =
        (0..20).map(|at| Server { name: format!("server {at}"), about: String::new() }).collect();
    results.servers = twenty;
    check(&html(&results).unwrap());
    let looks: std::collections::HashSet<String> = (0..20).map(figures::swatch).collect();
    assert_eq!(looks.len(), 20, "two servers have equal colours and equal marks");
}

#[test]
fn the_style_sheet_has_all_colours_for_light_and_dark() {
    for at in 0..canvas::COLOURS {
        let class = canvas::Ink::Server(at).class();
        assert_eq!(STYLE.matches(&format!("--{class}:")).count(), 2, "{class}");
        for what in ["fill", "stroke", "back"] {
            assert!(STYLE.contains(&format!(".{what}-{class} {{")), "{what} {class}");
        }
    }
}

#[test]
fn dates_follow_the_calendar_with_leap_years() {
    let cases = [
        (0, "1970-01-01 00:00 UTC"),
        (951_782_399, "2000-02-28 23:59 UTC"),
        (951_782_400, "2000-02-29 00:00 UTC"),
        (951_868_800, "2000-03-01 00:00 UTC"),
        (1_735_689_599, "2024-12-31 23:59 UTC"),
        (1_735_689_600, "2025-01-01 00:00 UTC"),
    ];
    for (seconds, expected) in cases {
        assert_eq!(date(seconds), expected);
    }
}

#[test]
#[ignore = "writes a page for a look in a browser into the directory for temporary files"]
fn a_page_for_a_browser_is_written() {
    let file = std::env::temp_dir().join("bench-report.html");
    std::fs::write(&file, html(&fixture::full()).unwrap()).unwrap();
    println!("{}", file.display());
}
