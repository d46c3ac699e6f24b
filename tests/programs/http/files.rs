//! Tests of the files that the example `http` serves: names, links, ranges, dates.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use super::service::{Answer, Http};
use crate::support::{
    End, pattern,
    programs::{example, finish, line, run},
    read_out,
    unix::Folder,
};

/// A server of a folder with files.
struct Site {
    server: Http,
    root: std::path::PathBuf,
    _folder: Folder,
}

/// Thu, 01 Jan 2009 00:00:00 GMT
const MODIFIED: u64 = 1_230_768_000;
const DATE: &str = "Thu, 01 Jan 2009 00:00:00 GMT";

impl Site {
    fn new() -> Self {
        let folder = Folder::new();
        let root = folder.file("root");
        for directory in ["root", "root/sub", "root/empty", "root/a b", "root-beside"] {
            fs::create_dir(folder.file(directory)).unwrap();
        }
        for (name, text) in [
            ("root/digits.txt", "0123456789"),
            ("root/sub/index.html", "<p>index"),
            ("root/sub/a b.html", "a b"),
            ("root/a b/index.html", "in a b"),
            ("root/empty.css", ""),
            ("root/back\\slash", "x"),
            ("root/per%cent", "percent"),
            ("root/plaintext", "a file"),
            ("root-beside/secret", "secret"),
            ("secret", "secret"),
        ] {
            fs::write(folder.file(name), text).unwrap();
        }
        let digits = File::options().write(true).open(root.join("digits.txt")).unwrap();
        digits.set_modified(UNIX_EPOCH + Duration::new(MODIFIED, 999_999_999)).unwrap();
        let server = Http::start(&["--root", root.to_str().unwrap()]);
        Self { server, root, _folder: folder }
    }

    /// Asks over a connection of its own. `headers` are whole lines.
    fn ask(&self, method: &str, target: &str, headers: &str) -> Answer {
        let mut client = self.server.client();
        let line = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        client.send(line.as_bytes());
        let has_body = method != "HEAD";
        let mut answer = client.head();
        if has_body && answer.status() != "304" {
            let length = answer.header("Content-Length").unwrap().parse().unwrap();
            answer.body = vec![0; length];
            std::io::Read::read_exact(&mut client.0, &mut answer.body).unwrap();
        }
        client.assert_end();
        answer
    }

    /// Returns the status and the body.
    fn get(&self, target: &str) -> (String, String) {
        let answer = self.ask("GET", target, "");
        (answer.status().into(), String::from_utf8(answer.body).unwrap())
    }
}

#[test]
fn a_path_names_a_file_of_the_directory() {
    let site = Site::new();
    for (target, body) in [
        ("/digits.txt", "0123456789"),
        ("/digits.txt?a=%zz", "0123456789"),
        ("//sub//./index.html", ""),
        ("/sub/", "<p>index"),
        ("/sub/?a", "<p>index"),
        ("/sub/index.html", "<p>index"),
        ("/sub/a%20b.html", "a b"),
        ("/%73ub/%61%20b%2Ehtml", "a b"),
        ("/a%20b/", "in a b"),
        ("/per%25cent", "percent"),
        ("/empty.css", ""),
        ("/plaintext", "Hello, World!"),
        ("//plaintext", "a file"),
    ] {
        let expected = if target.contains("/./") { "404" } else { "200" };
        let (status, found) = site.get(target);
        assert_eq!(status, expected, "{target}");
        assert!(status == "404" || found == body, "{target}: {found}");
    }
    for (target, content_type) in [
        ("/sub/", "text/html; charset=utf-8"),
        ("/empty.css", "text/css; charset=utf-8"),
        ("/per%25cent", "application/octet-stream"),
    ] {
        assert_eq!(site.ask("GET", target, "").header("Content-Type"), Some(content_type), "{target}");
    }
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let site = Site::new();
    let root = &site.root;
    symlink("../secret", root.join("link")).unwrap();
    symlink(root.parent().unwrap(), root.join("up")).unwrap();
    symlink("../root-beside", root.join("beside")).unwrap();
    symlink("/", root.join("sub/slash")).unwrap();
    symlink("../digits.txt", root.join("sub/inside")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    fs::create_dir(root.join("indirect")).unwrap();
    symlink("../../secret", root.join("indirect/index.html")).unwrap();
    symlink(root.join("digits.txt"), root.join("sub/absolute")).unwrap();
    for inside in ["/sub/inside", "/sub/absolute"] {
        assert_eq!(site.get(inside), ("200".into(), "0123456789".into()), "{inside}");
    }
    for target in [
        "/../secret",
        "/..",
        "/../",
        "/sub/../../secret",
        "/sub/../digits.txt",
        "/%2e%2e/secret",
        "/%2E%2E%2Fsecret",
        "/..%2fsecret",
        "/sub%2findex.html",
        "/..%5csecret",
        "/back%5Cslash",
        "/back\\slash",
        "/..\\secret",
        "/link",
        "/up/secret",
        "/up/root/digits.txt/",
        "/beside/secret",
        "/../root-beside/secret",
        "/sub/slash/etc/passwd",
        "/loop",
        "/indirect/",
        "/%2Fetc%2Fpasswd",
        "//etc/passwd",
        "/empty/",
        "/missing",
        "/digits.txt/",
        "/digits.txt/x",
        "/%fc",
    ] {
        let (status, body) = site.get(target);
        assert_eq!((status.as_str(), body.as_str()), ("404", "404 Not Found\n"), "{target}");
    }
    let long = format!("/{}", "x".repeat(5000));
    assert_eq!(site.get(&long).0, "404");
    for target in ["/%00", "/digits.txt%00", "/%", "/%1", "/%zz", "/%+1"] {
        assert_eq!(site.get(target).0, "400", "{target}");
    }
}

#[test]
fn a_directory_without_a_slash_is_redirected_within_the_server() {
    let site = Site::new();
    for (target, location) in [
        ("/sub", "/sub/"),
        ("/sub?a=b&c", "/sub/?a=b&c"),
        ("//sub", "/sub/"),
        ("///a%20b", "/a%20b/"),
        ("http://other/sub", "/sub/"),
    ] {
        let answer = site.ask("GET", target, "");
        assert_eq!((answer.status(), answer.header("Location")), ("301", Some(location)), "{target}");
    }
}

/// A blocking open(2) of a pipe waits for a writer.
#[test]
fn pipes_and_sockets_are_not_served_and_do_not_block_the_server() {
    let site = Site::new();
    let made = Command::new("mkfifo").arg(site.root.join("pipe")).status().expect("every Unix has mkfifo(1)");
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(site.root.join("socket")).unwrap();
    for target in ["/pipe", "/socket"] {
        assert_eq!(site.get(target).0, "404", "{target}");
    }
    assert_eq!(site.get("/digits.txt").0, "200");
}

#[test]
fn a_range_is_a_part_of_the_file() {
    let site = Site::new();
    for (range, status, body, content_range) in [
        ("bytes=0-0", "206", "0", Some("bytes 0-0/10")),
        ("bytes=2-4", "206", "234", Some("bytes 2-4/10")),
        ("Bytes=7-", "206", "789", Some("bytes 7-9/10")),
        ("bytes=7-100", "206", "789", Some("bytes 7-9/10")),
        ("bytes=-3", "206", "789", Some("bytes 7-9/10")),
        ("bytes=-100", "206", "0123456789", Some("bytes 0-9/10")),
        ("bytes=0-18446744073709551615", "206", "0123456789", Some("bytes 0-9/10")),
        ("bytes=10-", "416", "416 Range Not Satisfiable\n", Some("bytes */10")),
        ("bytes=10-20", "416", "416 Range Not Satisfiable\n", Some("bytes */10")),
        ("bytes=-0", "416", "416 Range Not Satisfiable\n", Some("bytes */10")),
        ("bytes=4-2", "200", "0123456789", None),
        ("bytes=0-1,3-4", "200", "0123456789", None),
        ("bytes=-", "200", "0123456789", None),
        ("bytes=+1-2", "200", "0123456789", None),
        ("lines=0-1", "200", "0123456789", None),
        ("bytes", "200", "0123456789", None),
    ] {
        let answer = site.ask("GET", "/digits.txt", &format!("Range: {range}\r\n"));
        assert_eq!((answer.status(), answer.header("Content-Range")), (status, content_range), "{range}");
        assert_eq!(answer.body, body.as_bytes(), "{range}");
    }
    let head = site.ask("HEAD", "/digits.txt", "Range: bytes=2-4\r\n");
    assert_eq!((head.status(), head.header("Content-Length")), ("200", Some("10")));
    for (if_range, status) in
        [(DATE, "206"), ("Thu, 01 Jan 2009 00:00:01 GMT", "200"), ("\"tag\"", "200"), ("W/\"tag\"", "200")]
    {
        let answer = site.ask("GET", "/digits.txt", &format!("Range: bytes=2-4\r\nIf-Range: {if_range}\r\n"));
        assert_eq!(answer.status(), status, "{if_range}");
    }
}

#[test]
fn a_file_that_has_not_changed_is_not_sent_again() {
    let site = Site::new();
    for (headers, status) in [
        ("", "200"),
        ("If-Modified-Since: Thu, 01 Jan 2009 00:00:00 GMT\r\n", "304"),
        ("If-Modified-Since: Thursday, 01-Jan-09 00:00:00 GMT\r\n", "304"),
        ("If-Modified-Since: Thu Jan  1 00:00:00 2009\r\n", "304"),
        ("If-Modified-Since: Thu, 01 Jan 2009 00:00:01 GMT\r\nRange: bytes=0-1\r\n", "304"),
        ("If-Modified-Since: Wed, 31 Dec 2008 23:59:59 GMT\r\n", "200"),
        ("If-Modified-Since: yesterday\r\n", "200"),
        ("If-Modified-Since: Thu, 01 Jan 2009 00:00:00 GMT\r\nIf-None-Match: \"tag\"\r\n", "200"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = site.ask(method, "/digits.txt", headers);
            assert_eq!((answer.status(), answer.header("Last-Modified")), (status, Some(DATE)), "{headers}");
        }
    }
}

#[test]
fn curl_gets_files() {
    let site = Site::new();
    let content = pattern(1_000_003, 7).repeat(8);
    fs::write(site.root.join("large"), &content).unwrap();
    let to = site.root.join("../copy");
    let to = to.to_str().unwrap();
    let curl = |arguments: &[&str], path: &str| {
        let url = format!("http://{}{path}", site.server.at);
        let common = ["-q", "-sS", "--max-time", "20", "-o", to, "-w", "%{http_code} %{size_download}"];
        run("curl", &[&common[..], arguments, &[&url]].concat())
    };
    let copied = |expected: &[u8]| assert!(fs::read(to).unwrap() == expected);
    let Some(output) = curl(&[], "/large") else { return };
    assert_eq!(output, "200 8000024");
    copied(&content);
    assert_eq!(curl(&["-r", "1000000-2999999"], "/large").unwrap(), "206 2000000");
    copied(&content[1_000_000..3_000_000]);
    fs::write(to, &content[..5_000_000]).unwrap();
    assert_eq!(curl(&["-C", "-"], "/large").unwrap(), "206 3000024", "the download goes on where it was");
    copied(&content);
    assert_eq!(curl(&["-0"], "/large").unwrap(), "200 8000024");
    copied(&content);
    assert_eq!(curl(&["-I"], "/large").unwrap(), "200 0");
    assert_eq!(curl(&["-L"], "/sub").unwrap(), "200 8");
    assert_eq!(curl(&["--path-as-is"], "/../secret").unwrap(), "404 14");
    assert_eq!(curl(&["-z", "Wed, 01 Jan 2020 00:00:00 GMT"], "/digits.txt").unwrap(), "304 0");
    assert_eq!(curl(&["-z", "Mon, 01 Jan 2001 00:00:00 GMT"], "/digits.txt").unwrap(), "200 10");
}

/// HTTP has four digits for a year, and no years before 1970.
#[test]
fn a_file_of_the_far_future_or_past_is_served() {
    let site = Site::new();
    let file = File::create(site.root.join("file")).unwrap();
    let far = Duration::from_secs(300_000_000_000);
    for time in [UNIX_EPOCH - Duration::from_secs(1), UNIX_EPOCH + far] {
        if file.set_modified(time).is_ok() {
            let answer = site.ask("GET", "/file", "");
            assert_eq!(answer.status(), "200");
            assert!(answer.header("Last-Modified").is_some_and(|date| date.len() == DATE.len()));
        }
    }
}

/// The client was promised more bytes than there are, and must not take a part of the file for the whole.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_becomes_shorter_ends_the_connection_with_a_reset() {
    let site = Site::new();
    let file = File::create(site.root.join("large")).unwrap();
    file.set_len(64 << 20).unwrap(); // more than the kernel keeps
    for end in ["", "Connection: close\r\n"] {
        file.set_len(64 << 20).unwrap();
        let mut client = site.server.narrow_client();
        client.send(format!("GET /large HTTP/1.1\r\nHost: a\r\n{end}\r\n").as_bytes());
        assert_eq!(client.head().status(), "200");
        file.set_len(1000).unwrap();
        assert_eq!(read_out(&mut client.0.into_inner()).1, End::Reset);
    }
    assert_eq!(site.get("/digits.txt").0, "200", "the server goes on");
}

#[test]
fn a_directory_that_does_not_exist_exits_with_1_and_one_line() {
    for path in ["/nonexistent", "/dev/null"] {
        let mut command = example("http");
        command.args(["--listen", "127.0.0.1:0", "--root", path]);
        let output = finish(command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(line(&output).starts_with(&format!("http: cannot serve {path}: ")), "{output:?}");
    }
}
