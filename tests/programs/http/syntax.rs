//! Tests of the functions that the example `http` parses requests with: no input makes them panic, and the result does not
//! depend on how the input is split.

use proptest::{prelude::*, test_runner::FileFailurePersistence};

#[path = "../../../examples/http/request.rs"]
#[allow(dead_code, reason = "the tests need a part of the file")]
mod request;
#[path = "../../../examples/http/status.rs"]
#[allow(dead_code, reason = "the tests need a part of the file")]
mod status;

use request::{Body, Framing, Method, parse};
use status::Status;

const REQUEST: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nRange: bytes=0-1\r\n\r\nabc";

#[test]
fn a_head_is_incomplete_until_its_last_byte() {
    let len = REQUEST.len() - 3;
    for end in 0..len {
        assert!(matches!(parse(&REQUEST[..end]), Ok(None)), "{end} bytes");
    }
    for end in len..=REQUEST.len() {
        let request = parse(&REQUEST[..end]).unwrap().expect("the head is complete");
        assert_eq!((request.len, request.method, request.framing), (len, Method::Get, Framing::Length(3)));
        assert_eq!((request.path, request.query, request.range), ("/a", "?b", Some(&b"bytes=0-1"[..])));
    }
}

/// Discards a body that comes in pieces. Each call sees the bytes that the calls before have left, as in `on_data`. Returns the
/// length of the body, or `None` if the body is incomplete.
fn discard(input: &[u8], cuts: &[usize]) -> Result<Option<usize>, Status> {
    let mut body = Body::new(Framing::Chunked).expect("there is a body");
    let mut used = 0;
    for end in cuts.iter().copied().chain([input.len()]) {
        // `on_data` is called while bytes are consumed and some are left.
        while used < end {
            match body.discard(&input[used..end])? {
                (len, true) => return Ok(Some(used + len)),
                (0, false) => break,
                (len, false) => used += len,
            }
        }
    }
    Ok(None)
}

/// Makes bodies that are nearly right: chunks, and now and then a byte that does not belong there.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let chunk = (0_usize..40, "(;[a-z]{0,3})?").prop_map(|(len, extension)| {
        let mut chunk = format!("{len:x}{extension}\r\n").into_bytes();
        chunk.extend(vec![b'\n'; len]);
        chunk.extend(b"\r\n");
        chunk
    });
    let other = prop_oneof![Just(b"0\r\n".to_vec()), Just(b"a: b\r\n".to_vec()), Just(b"\r\n".to_vec())];
    let noise = proptest::collection::vec(any::<u8>(), 0..3);
    let part = prop_oneof![6 => chunk, 3 => other, 1 => noise];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// Parts of requests, to be put where they do not belong.
const WORDS: &[&str] = &[
    " HTTP/2.0",
    " HTTP/0.",
    "HTTP/1.2\r\n",
    "\r\n",
    "\n",
    " ",
    ":",
    "Host: b\r\n",
    "\r\n\r\n",
    "Expect: x\r\n",
];

#[test]
fn another_version_has_the_same_status_however_it_is_split() {
    for (line, status) in [
        ("GET / HTTP/2.0\r\n", Status::VERSION_NOT_SUPPORTED),
        ("\r\nGET / HTTP/0.9\n", Status::VERSION_NOT_SUPPORTED),
        ("PRI * HTTP/9.9", Status::VERSION_NOT_SUPPORTED),
        ("GET / HTTP/2\r\n", Status::BAD_REQUEST),
        ("GET / HTTP/22\r\n", Status::BAD_REQUEST),
        ("GET / HTTP/2.x", Status::BAD_REQUEST),
        ("GET / FTP/1.1", Status::BAD_REQUEST),
        ("GET / \r\n", Status::BAD_REQUEST),
        ("GET / \n", Status::BAD_REQUEST),
        ("GET / HTTP/ 1.1", Status::BAD_REQUEST),
    ] {
        let results: Vec<_> =
            (0..=line.len()).map(|end| parse(&line.as_bytes()[..end]).map(|_| ())).collect();
        assert_eq!(results.last(), Some(&Err(status)), "{line}");
        assert!(results.iter().all(|result| [Ok(()), Err(status)].contains(result)), "{line}: {results:?}");
    }
}

#[test]
fn a_request_line_that_crosses_the_limit_is_too_long() {
    for line in ["GET / HTTP/1.1\r\n", "GET / HTTP/2.0\r\n"] {
        let end = line.find('.').unwrap();
        let input = ["\n".repeat((16 << 10) - end), line.into()].concat();
        assert!(matches!(parse(input.as_bytes()), Err(Status::HEAD_TOO_LARGE)), "{line}");
        assert!(matches!(parse(&input.as_bytes()[..(16 << 10) - 1]), Ok(None)), "{line}");
    }
}

/// The number of cases comes from PROPTEST_CASES. A failed case is kept in a file beside the test.
fn config() -> ProptestConfig {
    let failures = FileFailurePersistence::WithSource("failures");
    ProptestConfig { failure_persistence: Some(Box::new(failures)), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_body_ends_at_the_same_byte_however_it_is_split(
        input in bodies(),
        cuts in proptest::collection::btree_set(0_usize..300, 0..20),
    ) {
        let cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut < input.len()).collect();
        let every: Vec<_> = (1..input.len()).collect();
        let whole = discard(&input, &[]);
        prop_assert_eq!(discard(&input, &cuts), whole);
        prop_assert_eq!(discard(&input, &every), whole);
    }

    /// The result must not depend on where the kernel splits the input: each part of the input is incomplete, or has the result
    /// of the whole input.
    #[test]
    fn a_head_has_the_same_result_however_it_is_split(
        part in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..5),
            proptest::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        ],
        at in 0..REQUEST.len(),
        removed in 0_usize..20,
    ) {
        let mut input = REQUEST.to_vec();
        input.splice(at..(at + removed).min(REQUEST.len()), part);
        let len = |input| parse(input).map(|request| request.map(|request| request.len));
        let whole = len(&input);
        for end in 0..input.len() {
            let found = len(&input[..end]);
            prop_assert!(found == Ok(None) || found == whole, "{} bytes: {:?}, whole: {:?}", end, found, whole);
        }
    }
}
